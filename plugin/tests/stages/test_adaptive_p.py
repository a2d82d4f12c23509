"""The stage `adaptive_p`: definition and table of numbers."""

from collections.abc import Sequence

from tests.plain import REMOVED, Row, softmax
from tests.tables import X, case, logs, table_tests


class AdaptiveP:
    """A row under adaptive-p: `step`, then `accept` the token that was drawn."""

    def __init__(self, adaptive_target: float, adaptive_decay: float) -> None:
        self.target, self.decay = adaptive_target, adaptive_decay
        self.average = adaptive_target
        self.before: Row = []

    def step(self, x: Row) -> Row:
        """What it makes of the logits."""
        self.before = softmax(x)
        aim = max(0.0, min(2 * self.target - self.average, 1.0))
        far = [abs(p - aim) / 0.3 for p in self.before]
        return [
            REMOVED if value == REMOVED else 5 - 10 * d * d / (1 + d)
            for value, d in zip(x, far, strict=True)
        ]

    def accept(self, token: int) -> None:
        """The token that was drawn."""
        self.average = self.decay * self.average + (1 - self.decay) * self.before[token]


def reference(
    x: Row,
    *,
    adaptive_target: float,
    adaptive_decay: float,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """The first step."""
    return AdaptiveP(adaptive_target, adaptive_decay).step(x)


TABLE = [
    case("near the target", 0.5, logs(0.5, 0.25, 0.25), [5, 5 - 125 / 33, 5 - 125 / 33]),
    case("a lower target", 0.25, logs(0.5, 0.25, 0.25), [5 - 125 / 33, 5, 5]),
    case("-inf stays", 0.5, [X, *logs(0.5, 0.5)], [X, 5, 5]),
]

test_the_op, test_the_reference = table_tests(reference, TABLE)
