"""Patterns of file names, matched against texts: `*`, `?`, `[abc]`, `[!a-z]`.

A pattern is split at its stars, and each part is searched for once, from left to right. A part of
plain characters is found in time proportional to the text's length. A part with `?` or `[...]` may
take that time for each of its characters, as every part does in `fnmatch`.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

# Each piece of a pattern matches one character. A `[` that is never closed stands for itself.
_TOKEN = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)


class _Part(NamedTuple):
    """The part of a pattern between two stars. It matches `length` characters.

    It is `text`, or `expression` if it has `?` or `[...]`.
    """

    length: int
    text: str
    expression: re.Pattern[str] | None

    def find(self, text: str, begin: int) -> int:
        """Returns where the part begins, at `begin` or later; -1 if it isn't there."""
        if self.expression is None:
            return text.find(self.text, begin)
        found = self.expression.search(text, begin)
        return -1 if found is None else found.start()

    def stands(self, text: str, begin: int) -> bool:
        """Whether the part is in the text at this place."""
        if self.expression is None:
            return text.startswith(self.text, begin)
        return self.expression.match(text, begin) is not None


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern matches the whole of a text, as `fnmatch.fnmatchcase` says."""
    first, *others = _parts(pattern)
    if not others:
        return first.length == len(text) and first.stands(text, 0)
    if not first.stands(text, 0):
        return False
    place = first.length
    *middle, last = others
    for part in middle:
        place = part.find(text, place)
        if place < 0:
            return False
        place += part.length
    end = len(text) - last.length
    return end >= place and last.stands(text, end)


@lru_cache(maxsize=1024)
def _parts(pattern: str) -> tuple[_Part, ...]:
    parts: list[list[str]] = [[]]
    for token in _TOKEN.findall(pattern):
        if token == "*":
            parts.append([])
        else:
            parts[-1].append(token)
    return tuple(map(_part, parts))


def _part(tokens: list[str]) -> _Part:
    text = "".join(tokens)
    if all(len(token) == 1 and token != "?" for token in tokens):
        return _Part(len(tokens), text, None)
    expression = translate(text).removesuffix(r"\Z").removesuffix(r"\z")
    return _Part(len(tokens), text, re.compile(expression))
