"""The kernels beside draft tokens: states and modes follow from the accepted tokens alone."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests import rows
from tests.engines.drafting import ADAPTIVE, ENTROPY, FEW, Engine, Text, plain
from tests.engines.runners import DRAFTS, MODES


@pytest.mark.parametrize("values", [ADAPTIVE, ENTROPY, MODES], ids=["state", "entropy", "modes"])
def test_a_text_is_that_of_plain_decoding(values: dict[str, Any]) -> None:
    """Bit for bit, though some of the draft tokens are rejected."""
    (alone,) = plain([Text(1, [1, 2], values)], 6)
    text, engine, random = Text(1, [1, 2], values), Engine(DRAFTS), Random(1)
    engine.join(text, 4)
    while len(text.output) < 6:
        right = alone.output[len(text.output) :][: random.randint(0, 2)]
        wrong = random.choices(range(FEW), k=DRAFTS - len(right))
        engine.step([text], {1: [*right, *wrong]})

    assert {} == engine.runner.meter.fallbacks
    assert alone.output == text.output[:6]
    assert all(rows.same_bits(*pair) for pair in zip(alone.after, text.after[:6], strict=True))
    assert ("modes" in values) == (engine.runner.batch.rows.switches > 1)
