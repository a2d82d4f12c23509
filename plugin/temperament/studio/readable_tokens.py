"""A token's bytes as a person can read them: spaces, line breaks and stray bytes are visible."""

from __future__ import annotations

import codecs

_MARKS = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍", "\u3000": "□"}


def readable(token: bytes | str) -> str:
    """`token` on one line; a byte that is no part of a character is shown as `<E4>`.

    A token may be a text, since some servers return no bytes.
    """
    text = token if isinstance(token, str) else token.decode("utf-8", errors="surrogateescape")
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    if "\udc80" <= character <= "\udcff":  # a byte that isn't valid UTF-8 here
        return f"<{ord(character) - 0xDC00:02X}>"
    if not character.isprintable():
        return f"<{ord(character):02X}>"
    return character


class Writer:
    """Decodes the bytes of tokens one by one; a character comes with its last byte."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: bytes) -> str:
        """The text that one more token adds."""
        return self._decoder.decode(token)
