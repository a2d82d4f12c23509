"""The text that carries a residual chain to the workers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temperament.errors import PresetError
from temperament.plan import decode, encode
from temperament.plan.wire import MAX_CHARACTERS
from tests.plan.chains import ANY_PRESET, chain_of


@given(ANY_PRESET, st.text())
def test_the_wire_carries_a_chain_unchanged(values: dict[str, Any], label: str) -> None:
    """What a worker decodes is equal to what was encoded, in one line of ASCII."""
    chain = chain_of(values)
    text = encode(chain, label)

    assert (chain, label) == (decode(text).chain, decode(text).name)
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "vllm_xargs.temperament: not a chain; given: ''; allowed: a JSON object"),
        ("[1]", "vllm_xargs.temperament: not a chain; given: '[1]'; allowed: a JSON object"),
        ("{", "vllm_xargs.temperament: not a chain; given: '{'; allowed: a JSON object"),
        (
            "[" * 100_000,
            f"vllm_xargs.temperament: not a chain; given: '{'[' * 78}…; allowed: a JSON object",
        ),
        (
            " " * (MAX_CHARACTERS + 1),
            "vllm_xargs.temperament: too long; allowed: at most 262144 characters",
        ),
        ('{"top_q": 1}', "vllm_xargs.temperament: top_q: is not part of a chain"),
        ('{"top_p": NaN}', "vllm_xargs.temperament: top_p: not allowed; given: nan"),
        ('{"top_p": null}', "vllm_xargs.temperament: top_p: has no value"),
        ('{"order": 5}', "vllm_xargs.temperament: order: not a list; given: 5"),
        (
            '{"order": ["top_p", "presence_penalty"]}',
            "vllm_xargs.temperament: order.1: not allowed; given: 'presence_penalty'",
        ),
    ],
    ids=lambda value: value[:30].strip(),
)
def test_what_is_no_chain_is_refused(text: str, expected: str) -> None:
    """Text of another format is an error with the place, never another chain."""
    with pytest.raises(PresetError) as caught:
        decode(text)

    assert str(caught.value).startswith(expected)


def test_the_wire_is_json_that_one_can_read() -> None:
    """The text names the preset, the values and the order of what may be moved."""
    textbook = {"temperature": 0.7, "top_k": 40, "top_p": 0.9}
    order = ["top_k", "top_p", "temperature"]
    chain = chain_of({"logit_bias": {7: 1}, **textbook, "order": order})

    assert {
        "preset": "mine@1",
        "logit_bias": {"7": 1.0},
        "temperature": 0.7,
        "top_k": 40,
        "top_p": 0.9,
        "order": order,
    } == json.loads(encode(chain, "mine@1"))
