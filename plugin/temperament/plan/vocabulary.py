"""The bytes of every token, so that texts are matched however a tokenizer cuts them."""

from __future__ import annotations

import hashlib
import re
from array import array
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from temperament.errors import EngineError
from temperament.plan import token_bytes


@dataclass(frozen=True)
class TokenBytes:
    """The bytes of each token by its id; none for special tokens, which stand for no text."""

    tokens: tuple[bytes, ...]
    # the ids of the tokens that end a text
    ends: tuple[int, ...] = ()
    # (id, bytes of its name, such as `<|im_end|>`) of each special token
    special: tuple[tuple[int, bytes], ...] = ()
    # (name, id) of each token that was added to the vocabulary, special or not
    added: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def spelled(self) -> tuple[bytes, ...]:
        """The bytes of every token; of a special token, those of its name."""
        table = list(self.tokens)
        for token, name in self.special:
            table[token] = name
        return tuple(table)

    @cached_property
    def atomic(self) -> tuple[bytes, ...]:
        """The bytes of every token; of a special token, bytes that no text has.

        So a text never matches a part of a special token's name.
        """
        table = list(self.tokens)
        for token, _ in self.special:
            table[token] = _own_bytes(token)
        return tuple(table)

    def spellings(self, text: str) -> tuple[bytes, ...]:
        """Returns the byte strings that spell a text in the bytes of `atomic`.

        The first has the text as it is. If the names of special tokens occur in it, a second one
        has the bytes of these tokens in their place.
        """
        plain = text.encode("utf-8", "replace")
        named = {name: _own_bytes(token) for token, name in self.special if name and name in plain}
        if not named:
            return (plain,)
        longest_first = sorted(named, key=len, reverse=True)
        pattern = re.compile(b"|".join(map(re.escape, longest_first)))
        return plain, pattern.sub(lambda match: named[match[0]], plain)

    @cached_property
    def digest(self) -> str:
        """Thirty-two hexadecimal digits that identify the bytes of all tokens, and special ones."""
        numbers = (*map(len, self.spelled), *(token for token, _ in self.special))
        joined = array("q", numbers).tobytes() + b"".join(self.spelled)
        return hashlib.sha256(joined).hexdigest()[:32]

    @classmethod
    def of(cls, tokenizer: Any, size: int | None = None) -> TokenBytes:
        """Returns the tokens of a tokenizer, `size` of them (a model may have more logits).

        `plan.token_bytes` knows how tokenizers spell bytes. Raises `EngineError` if it can't find
        those of this one, or if they don't join to what the tokenizer decodes.
        """
        table = _token_bytes(tokenizer, size)
        if isinstance(table, EngineError):
            raise table
        return table


def _own_bytes(token: int) -> bytes:
    """Returns bytes that stand for a special token alone: none of them occurs in UTF-8.

    0xFF begins them, and the id follows as seven digits of base 7, which are 0xF8 to 0xFE. A
    larger id has none.
    """
    if token >= 7**7:
        return b""
    return bytes([0xFF, *(0xF8 + token // 7**digit % 7 for digit in range(6, -1, -1))])


@lru_cache(maxsize=4)
def _token_bytes(tokenizer: Any, size: int | None) -> TokenBytes | EngineError:
    """Returns the tokens, or why they can't be read. Both are kept, since reading takes long."""
    try:
        return _read(tokenizer, size)
    except EngineError as error:
        return error.with_traceback(None)


def _read(tokenizer: Any, size: int | None) -> TokenBytes:
    table = token_bytes.read(tokenizer)
    # mistral-common's own tokenizers have no length
    size = size or max(len(table), len(tokenizer) if hasattr(tokenizer, "__len__") else 0)
    special = token_bytes.special_ids(tokenizer)
    token_bytes.check(tokenizer, table, special)
    special_texts = []
    for number in sorted(special):
        if number < min(size, len(table)):
            table[number] = b""
            special_texts.append((number, token_bytes.special_text(tokenizer, number).encode()))
    table = [*table[:size], *[b""] * (size - len(table))]
    known = token_bytes.added_tokens(tokenizer)
    added = tuple((str(token), number) for number, token in known.items() if number < size)
    return TokenBytes(tuple(table), token_bytes.end_ids(tokenizer), tuple(special_texts), added)
