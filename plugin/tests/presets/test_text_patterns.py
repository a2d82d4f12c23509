"""Patterns of texts match as those of file names, in time in proportion to the text."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import hypothesis.strategies as st
import pytest
from hypothesis import given

from temperament.presets.text_patterns import matches
from tests.examples import examples

STARS = ["a", "b", "*", "?", "[ab]"]
ODD = [*STARS, "[", "]", "!", "-", "[!a]", "[a-b]", "\n", "[]a]", "[!]]"]
PATTERNS = st.sampled_from([STARS, ODD]).flatmap(
    lambda pieces: st.lists(st.sampled_from(pieces), max_size=7).map("".join)
)


@given(PATTERNS, st.text("ab", max_size=5) | st.text("ab]![-\n", max_size=8))
@examples(500)
def test_as_fnmatch(pattern: str, text: str) -> None:
    """A pattern matches the texts that `fnmatch` says it matches."""
    assert fnmatchcase(text, pattern) == matches(pattern, text)


@pytest.mark.parametrize("pattern", ["*" + "a" * 120 + "b", "*" + "a*" * 60 + "b"], ids=str)
def test_the_time(pattern: str) -> None:
    """A text that a pattern almost matches everywhere takes no longer than reading it does.

    `fnmatch` takes 100 times as long for the first.
    """
    begin = time.process_time()

    assert not matches(pattern, "a" * 1_000_000)
    assert time.process_time() - begin < 5
