"""The kernels beside draft tokens: a state follows from the accepted tokens alone."""

from __future__ import annotations

from random import Random

from tests import rows
from tests.engines.drafting import ADAPTIVE, FEW, Engine, Text, plain
from tests.engines.runners import DRAFTS


def test_a_text_is_that_of_plain_decoding() -> None:
    """Bit for bit, though some of the draft tokens are rejected."""
    (alone,) = plain([Text(0, [1, 2], ADAPTIVE)], 6)
    text, engine, random = Text(0, [1, 2], ADAPTIVE), Engine(DRAFTS), Random(1)
    engine.join(text, 4)
    while len(text.output) < 6:
        right = alone.output[len(text.output) :][: random.randint(0, 2)]
        wrong = random.choices(range(FEW), k=DRAFTS - len(right))
        engine.step([text], {0: [*right, *wrong]})

    assert {} == engine.runner.meter.fallbacks
    assert alone.output == text.output[:6]
    assert all(rows.same_bits(*pair) for pair in zip(alone.after, text.after[:6], strict=True))
