"""The text of a problem, and errors that have several of them."""

from __future__ import annotations

import sys
import tracemalloc

import pytest

from temperament.errors import (
    MOST,
    EngineError,
    InputError,
    PresetError,
    Problem,
    RequestError,
    TemperamentError,
    UnknownPreset,
    nearest,
    shown,
)

DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (Problem("chat.yaml:3", "top_p", "not allowed"), "chat.yaml:3: top_p: not allowed"),
        (Problem("", "", "not allowed"), "not allowed"),
        (Problem("request", "", "no", "1", "2"), "request: no; given: 1; allowed: 2"),
        (Problem("", "", "no", nearest=("a", "b")), "no; did you mean 'a' or 'b'?"),
        (Problem("a\nb", "c\r\x1b[1m", "no"), "a\\nb: c\\r\\x1b[1m: no"),
        (Problem("", "\ud800", "no"), "\\ud800: no"),
        (Problem("", "对话", "no"), "对话: no"),
    ],
)
def test_a_problem_is_one_printable_line(problem: Problem, expected: str) -> None:
    """The text has only the known parts, and no name can break or colour the line."""

    assert expected == str(problem)


def test_a_long_path_is_cut() -> None:
    """A name of a megabyte doesn't make a message of a megabyte."""

    assert len(str(Problem("w", "x" * 1_000_000, "no"))) < 400


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        (1.5, "1.5"),
        (["a", 1], "['a', 1]"),
        ("对话", "'对话'"),
        ("a\u2028b", "'a\\u2028b'"),
        ("x" * 1_000_000, "'" + "x" * 78 + "…"),
        ([0] * 1_000_000, "[" + "0, " * 26 + "…"),
        (10**5000, "int that is too long to show"),
        (DEEP, "list that is too long to show"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else type(value).__name__,
)
def test_a_given_value_is_shown_in_a_few_words(value: object, expected: str) -> None:
    """Values of any size and depth are shown in one line of at most 80 characters."""

    assert expected == shown(value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("creativ", ("creative",)),
        ("CODE", ("code", "coding")),
        ("cod", ("code", "coding")),
        ("zzz", ()),
        ("", ()),
        ("code" * 100, ()),
        (None, ()),
        (3, ()),
    ],
)
def test_the_nearest_names_are_known_ones(name: object, expected: tuple[str, ...]) -> None:
    """A misspelt name gives known names, best first; anything else gives none."""

    assert expected == nearest(name, ["chat", "code", "coding", "creative"])


@pytest.mark.parametrize(
    "kind", [PresetError, UnknownPreset, InputError, RequestError, EngineError]
)
def test_every_error_is_a_value_error_with_problems(kind: type[TemperamentError]) -> None:
    """One problem or many: the error holds all, and its text is one a line."""
    one, two = Problem("a", "", "first"), Problem("b", "", "second")

    assert (one,) == kind(one).problems
    assert (one, two) == kind(iter([one, two])).problems
    assert "a: first\nb: second" == str(kind([one, two]))
    assert issubclass(kind, (TemperamentError, ValueError))


def test_at_most_a_hundred_problems_are_told() -> None:
    """After 100 problems the error says that there are more."""
    problems = [Problem("a", "b", str(number)) for number in range(MOST + 5)]
    reported = PresetError(problems).problems

    assert reported[:MOST] == tuple(problems[:MOST])
    assert ["and more problems"] == [str(problem) for problem in reported[MOST:]]


def test_a_value_of_megabytes_is_not_written_out() -> None:
    """A long value is cut before it is written out."""
    size = sys.getsizeof(big := "a" * 10_000_000)
    tracemalloc.start()
    texts = [shown(value) for value in (big, [big], {"a": {"b": [big]}}, {big: 1}, [big] * 99)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < size / 10
    assert all(len(text) <= 80 for text in texts)
