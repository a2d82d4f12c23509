"""What is told of a large body from its bytes: whether it can concern us, whether it is too much.

An image needn't be parsed twice, and what is refused in the end may not cost much before.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from temperament.errors import Problem, RequestError

# Below this a body is parsed: that takes less than a hundred microseconds.
LARGE = 64 * 1024
MANY = 10_000  # quotes; with more, parsing is as fast
LONGEST = 400  # bytes of a field's name, each character written by its number
MOST = 400_000  # values in a body; a list or a map counts for several
CONTAINER = 8
QUOTES = 100_000  # that are looked at to see whether commas and brackets stand in texts
SLASHES = 64
UNUSUAL = 4 * 2**20  # bytes of a body that isn't UTF-8, or holds half a character


def may_concern(raw: bytes, names: frozenset[bytes]) -> bool:
    """Whether JSON text may have one of the names as a field, or name a preset behind the model.

    It errs on one side alone: a text inside the body that reads so counts, and so does a short one
    with a character written by its number, since that might be a name.
    """
    if not json.detect_encoding(raw).startswith("utf-8"):
        return True
    start, before, last = 0, b"", b""  # the last two parts between quotes
    for _ in range(MANY):
        end = raw.find(b'"', start)
        if end < 0:
            return False
        part = raw[start : min(end, start + LONGEST + 1)]
        if len(part) <= LONGEST and (part in names or b"\\u" in part):
            return True
        # model, a colon, the model's name
        if before == b"model" and (b":" in part or part[-1:] == b"\\" or len(part) > LONGEST):
            return True
        before, last, start = last, part, end + 1
    return True


def parse(raw: bytes) -> Any:
    """A body's JSON, as Python's own parser gives it to vLLM.

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
        return from_json(raw, cache_strings="none")  # with no copy of the whole as text
    except ValueError:
        if len(raw) > UNUSUAL:
            raise RequestError(
                Problem("request", "", "the body can't be read", allowed="JSON in UTF-8")
            ) from None
    return json.loads(raw)


def too_many(raw: bytes) -> bool:
    """Whether JSON text holds more than `MOST` values; what stands inside texts doesn't count."""
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
