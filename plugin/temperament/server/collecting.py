"""How the problems of a request are collected, so that one answer reports all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from temperament.errors import Problem, RequestError, TemperamentError


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Adds the problems of an error that is raised inside."""
    try:
        yield
    except TemperamentError as error:
        problems += error.problems


def raise_all(problems: Iterable[Problem]) -> None:
    """Raises `RequestError` if there are problems, each once."""
    if found := dict.fromkeys(problems):
        raise RequestError(found)
