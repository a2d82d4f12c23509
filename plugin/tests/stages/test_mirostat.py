"""The stage `mirostat`: definition and table of numbers."""

import math
from collections.abc import Sequence
from itertools import pairwise

from tests.plain import REMOVED, Row, keep, softmax
from tests.tables import HALVES, TENTHS, X, cut, table_tests


class Mirostat:
    """A row under mirostat: `step`, then `accept` the token that was drawn."""

    def __init__(self, mirostat: int, mirostat_tau: float, mirostat_eta: float) -> None:
        self.version, self.tau, self.eta = mirostat, mirostat_tau, mirostat_eta
        self.mu = 2 * mirostat_tau
        self.drawn_from: Row = []

    def step(self, x: Row) -> Row:
        """What it leaves."""
        p = softmax(x)
        if self.version == 1:
            last = sorted(x, reverse=True)[self.count(x) - 1]
            after = keep(x, lambda token: x[token] >= last)
        else:
            bits = [-math.log2(share) if share else math.inf for share in p]
            most = max(self.mu, min(bits))
            after = keep(x, lambda token: bits[token] <= most)
        self.drawn_from = softmax(after)
        return after

    def count(self, x: Row) -> int:
        """Version 1's k, from the 100 most likely, as if all followed Zipf's law."""
        top = [value for value in sorted(x, reverse=True)[:100] if value > REMOVED]
        falls = list(pairwise(top))
        steps = [math.log((i + 1) / i) for i in range(1, len(top))]
        slope = sum(t * (a - b) for t, (a, b) in zip(steps, falls, strict=True))
        exponent = max(slope / sum(t * t for t in steps), 1e-3) if falls else 1.0
        e, size = exponent - 1, len(x)
        if size == 1:
            return 1
        share = e / -math.expm1(-e * math.log(size)) if abs(e) > 1e-9 else 1 / math.log(size)
        log_count = (math.log(share) + self.mu * math.log(2)) / exponent
        return int(math.exp(max(0.0, min(log_count, math.log(size + 0.5)))))

    def accept(self, token: int) -> None:
        """The token that was drawn."""
        surprise = -math.log2(self.drawn_from[token])
        self.mu -= self.eta * (surprise - self.tau)


def reference(
    x: Row,
    *,
    mirostat: int,
    mirostat_tau: float,
    mirostat_eta: float,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """The first step."""
    return Mirostat(mirostat, mirostat_tau, mirostat_eta).step(x)


TABLE = [
    cut("just above one bit", 2, HALVES, 0, mirostat_tau=0.5001),
    cut("just below two bits", 2, HALVES, 0, mirostat_tau=0.999),
    cut("just above two bits", 2, HALVES, 0, 1, mirostat_tau=1.001),
    cut("no surprise: the most likely", 2, TENTHS, 0, mirostat_tau=0.0),
    cut("all tied: nobody is more likely", 2, [1, 1, X], 0, 1, mirostat_tau=0.0),
    cut("far above: all", 2, HALVES, *range(5), mirostat_tau=5.0),
    # 1 / i has the exponent 1: k = 2^(2 tau) / ln 8
    cut("k just below two", 1, [-math.log(i) for i in range(1, 9)], 0, mirostat_tau=1.02),
    cut("k just above two", 1, [-math.log(i) for i in range(1, 9)], 0, 1, mirostat_tau=1.03),
    cut(
        "k above the vocabulary",
        1,
        [-math.log(i) for i in range(1, 9)],
        *range(8),
        mirostat_tau=9.0,
    ),
    cut("ties with the last stay", 1, [3, 3, 2], 0, 1, mirostat_tau=0.0),
    cut("one candidate", 1, [X, 3, X], 1, mirostat_tau=1.0),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
