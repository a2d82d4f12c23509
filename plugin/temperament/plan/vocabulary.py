"""The bytes of every token, so that texts are matched however a tokenizer cuts them."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from temperament.errors import EngineError
from temperament.plan import token_bytes


@dataclass(frozen=True)
class TokenBytes:
    """What each token id stands for: its bytes, none for a special token."""

    tokens: tuple[bytes, ...]
    # ids that end a text
    ends: tuple[int, ...] = ()
    # the special tokens (which have no bytes above), each with the bytes that it is written as
    special: tuple[tuple[int, bytes], ...] = ()
    # the tokens that were added to the vocabulary, special or not, by what they are written as
    added: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def spelled(self) -> tuple[bytes, ...]:
        """The bytes of every token, of a special one as it is written."""
        table = list(self.tokens)
        for number, written in self.special:
            table[number] = written
        return tuple(table)

    @cached_property
    def digest(self) -> str:
        """Thirty-two hexadecimal digits of all tokens' bytes."""
        lengths = array("q", map(len, self.spelled)).tobytes()
        return hashlib.sha256(lengths + b"".join(self.spelled)).hexdigest()[:32]

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


@lru_cache(maxsize=4)
def _token_bytes(tokenizer: Any, size: int | None) -> TokenBytes | EngineError:
    """Returns the tokens, or why they can't be known: both are found once for each tokenizer."""
    try:
        return _read(tokenizer, size)
    except EngineError as error:
        return error.with_traceback(None)


def _read(tokenizer: Any, size: int | None) -> TokenBytes:
    table = token_bytes.read(tokenizer)
    size = size or len(tokenizer)
    special = token_bytes.special_ids(tokenizer)
    token_bytes.check(tokenizer, table, special)
    written = []
    for number in sorted(special):
        if number < min(size, len(table)):
            table[number] = b""
            written.append((number, token_bytes.written(tokenizer, number).encode()))
    table = [*table[:size], *[b""] * (size - len(table))]
    end = tokenizer.eos_token_id
    ends: Sequence[int] = end if isinstance(end, (list, tuple)) else [end]
    known = token_bytes.added_tokens(tokenizer)
    added = tuple((str(token), number) for number, token in known.items() if number < size)
    return TokenBytes(tuple(table), tuple(e for e in ends if e is not None), tuple(written), added)
