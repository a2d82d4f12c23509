"""What the bytes of a large body tell before it is parsed: may it be ours, is it too much.

Parsing a body of megabytes (an image, say) a second time would cost more than all else that a
request costs here, and a body that is refused in the end must not cost much before.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic_core import from_json

from temperament.errors import Problem, RequestError
from temperament.server.fields import OurFields

LARGE = 64 * 1024  # bytes; a smaller body is parsed, which takes less than 0.1 ms
MANY = 10_000  # quotes; a body with more of them is parsed as fast as it is scanned
LONGEST = 400  # bytes of a field's name when each of its characters is escaped
MOST = 400_000  # values in a body; a list or a map counts as `CONTAINER` of them
CONTAINER = 8
QUOTES = 100_000  # quotes that are read to tell commas in texts from commas between values
SLASHES = 64
UNUSUAL = 4 * 2**20  # bytes of a body that isn't UTF-8, or holds a lone surrogate


def may_be_ours(raw: bytes, ours: OurFields) -> bool:
    """Whether JSON text may have one of `ours` as a field, or name a preset after the model.

    True is sometimes wrong, False never is: text inside the body that reads like a field counts,
    and so does any short text with an escaped character, since it might spell a name.
    """
    if not json.detect_encoding(raw).startswith("utf-8"):
        return True
    always, as_map = _encoded(ours.always), _encoded(ours.as_map)
    start, before, last = 0, b"", b""  # the last two parts between quotes
    for _ in range(MANY):
        end = raw.find(b'"', start)
        part = raw[start : min(end if end >= 0 else len(raw), start + LONGEST + 1)]
        long = len(part) > LONGEST
        if not long and (part in always or b"\\u" in part):
            return True
        # the field's name, then this part: a colon and the beginning of a map
        if last in as_map and (b"{" in part or long):
            return True
        # "model", a colon, then this part: the model's name
        if before == b"model" and (b":" in part or part[-1:] == b"\\" or long):
            return True
        if end < 0:
            return False
        before, last, start = last, part, end + 1
    return True


@cache
def _encoded(names: frozenset[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def parse(raw: bytes) -> Any:
    """Returns a body's JSON as Python's own parser, which vLLM uses, would.

    Raises `ValueError` or `RecursionError` for what isn't JSON, and `RequestError` for what would
    take too much time or memory.
    """
    if len(raw) <= LARGE:
        return json.loads(raw)
    if too_many(raw):
        raise RequestError(
            Problem(
                "request", "", "the body holds too many values", allowed=f"about {MOST} of them"
            )
        )
    try:
        return from_json(raw, cache_strings="none")  # copies no part of the body as text
    except ValueError:
        if len(raw) > UNUSUAL:
            raise RequestError(
                Problem("request", "", "the body can't be read", allowed="JSON in UTF-8")
            ) from None
    return json.loads(raw)


def too_many(raw: bytes) -> bool:
    """Whether JSON text holds more than `MOST` values. Commas inside texts don't count."""
    if _weight(raw, 0, len(raw)) <= MOST:
        return False
    weight, start, inside = 0, 0, False
    for _ in range(QUOTES):
        end = raw.find(b'"', start)
        if not inside:
            weight += _weight(raw, start, len(raw) if end < 0 else end)
            inside = True
        else:
            slashes = raw[max(start, end - SLASHES) : end]
            slashes = slashes[len(slashes.rstrip(b"\\")) :]
            if len(slashes) == SLASHES:
                return True
            inside = len(slashes) % 2 == 1
        if end < 0 or weight > MOST:
            return weight > MOST
        start = end + 1
    return True


def _weight(raw: bytes, start: int, end: int) -> int:
    containers = raw.count(b"[", start, end) + raw.count(b"{", start, end)
    return raw.count(b",", start, end) + CONTAINER * containers
