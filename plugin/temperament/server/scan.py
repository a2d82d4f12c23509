"""Whether a large body can concern us, told from its bytes: an image needn't be parsed twice."""

from __future__ import annotations

# Below this a body is parsed: that takes less than a hundred microseconds.
LARGE = 64 * 1024
MANY = 10_000  # quotes; with more, parsing is as fast
LONGEST = 400  # bytes of a field's name, each character written by its number


def may_concern(raw: bytes, names: frozenset[bytes]) -> bool:
    """Whether JSON text may have one of the names as a field, or name a preset behind the model.

    It errs on one side alone: a text inside the body that reads so counts, and so does a short one
    with a character written by its number, since that might be a name.
    """
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
