"""Two questions about a large body, answered from its bytes: is it the plugin's, is it too large.

vLLM parses every body itself. To parse one of megabytes (an image, say) here as well would cost
more than everything else that Temperament does for a request. A body with too many values is
refused before it is parsed, so that the refusal is cheap.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic_core import from_json

from temperament.errors import Problem, RequestError
from temperament.server.plugin_fields import PluginFields

LARGE_BYTES = 64 * 1024  # a smaller body is parsed at once, which takes less than 0.1 ms
MAX_SCANNED_QUOTES = 10_000  # a body with more quotes is parsed as fast as it is scanned
MAX_NAME_BYTES = 400  # the longest name of a field, with each of its characters escaped
MAX_VALUES = 400_000  # of a body; a list or a map counts as `CONTAINER_WEIGHT` values
CONTAINER_WEIGHT = 8
MAX_COUNTED_QUOTES = 100_000  # quotes that are read, to skip the commas inside texts
MAX_BACKSLASHES = 64  # in front of a quote; a body with more counts as too large
MAX_UNUSUAL_BYTES = 4 * 2**20  # a larger body that isn't UTF-8, or has a lone surrogate, is refused


def may_have_plugin_fields(raw: bytes, fields: PluginFields) -> bool:
    """Whether JSON text may have one of `fields`, or name a preset after the model.

    True may be wrong, False never is: a text inside the body that looks like a field counts, and so
    does any short text with an escaped character, since it may spell such a name.
    """
    if not json.detect_encoding(raw).startswith("utf-8"):
        return True
    always, as_map = _encoded(fields.always), _encoded(fields.as_map)
    start, second_last, last = 0, b"", b""  # the last two parts between quotes
    for _ in range(MAX_SCANNED_QUOTES):
        end = raw.find(b'"', start)
        part = raw[start : min(end if end >= 0 else len(raw), start + MAX_NAME_BYTES + 1)]
        long = len(part) > MAX_NAME_BYTES
        if not long and (part in always or b"\\u" in part):
            return True
        # the field's name, then this part: a colon and the beginning of a map
        if last in as_map and (b"{" in part or long):
            return True
        # "model", a colon, then this part: the model's name
        if second_last == b"model" and (b":" in part or part[-1:] == b"\\" or long):
            return True
        if end < 0:
            return False
        second_last, last, start = last, part, end + 1
    return True


@cache
def _encoded(names: frozenset[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def parse(raw: bytes) -> Any:
    """Returns a body's JSON, parsed as Python's `json` (which vLLM uses) does.

    Raises `ValueError` or `RecursionError` if it isn't JSON, and `RequestError` if parsing it would
    take too much time or memory.
    """
    if len(raw) <= LARGE_BYTES:
        return json.loads(raw)
    if has_too_many_values(raw):
        raise RequestError(
            Problem(
                "request",
                "",
                "the body has too many values",
                allowed=f"about {MAX_VALUES} of them",
            )
        )
    try:
        return from_json(raw, cache_strings="none")  # copies no part of the body as text
    except ValueError:
        if len(raw) > MAX_UNUSUAL_BYTES:
            raise RequestError(
                Problem("request", "", "the body can't be read", allowed="JSON in UTF-8")
            ) from None
    return json.loads(raw)


def has_too_many_values(raw: bytes) -> bool:
    """Whether JSON text has more than `MAX_VALUES` values. Commas inside texts don't count."""
    if _weight(raw, 0, len(raw)) <= MAX_VALUES:
        return False
    weight, start, inside = 0, 0, False
    for _ in range(MAX_COUNTED_QUOTES):
        end = raw.find(b'"', start)
        if not inside:
            weight += _weight(raw, start, len(raw) if end < 0 else end)
            inside = True
        else:
            slashes = raw[max(start, end - MAX_BACKSLASHES) : end]
            slashes = slashes[len(slashes.rstrip(b"\\")) :]
            if len(slashes) == MAX_BACKSLASHES:
                return True
            inside = len(slashes) % 2 == 1
        if end < 0 or weight > MAX_VALUES:
            return weight > MAX_VALUES
        start = end + 1
    return True


def _weight(raw: bytes, start: int, end: int) -> int:
    containers = raw.count(b"[", start, end) + raw.count(b"{", start, end)
    return raw.count(b",", start, end) + CONTAINER_WEIGHT * containers
