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
    """The tokens of a vocabulary by id. A special token has no bytes."""

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
    def digest(self) -> str:
        """Thirty-two hexadecimal digits that identify the bytes of all tokens."""
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
    """Returns the tokens, or why they can't be read. Both are kept, since reading takes long."""
    try:
        return _read(tokenizer, size)
    except EngineError as error:
        return error.with_traceback(None)


def _read(tokenizer: Any, size: int | None) -> TokenBytes:
    table = token_bytes.read(tokenizer)
    size = size or max(len(table), len(tokenizer))
    special = token_bytes.special_ids(tokenizer)
    token_bytes.check(tokenizer, table, special)
    special_texts = []
    for number in sorted(special):
        if number < min(size, len(table)):
            table[number] = b""
            special_texts.append((number, token_bytes.special_text(tokenizer, number).encode()))
    table = [*table[:size], *[b""] * (size - len(table))]
    end = tokenizer.eos_token_id
    ends: Sequence[int] = end if isinstance(end, (list, tuple)) else [end]
    known = token_bytes.added_tokens(tokenizer)
    added = tuple((str(token), number) for number, token in known.items() if number < size)
    return TokenBytes(
        tuple(table), tuple(e for e in ends if e is not None), tuple(special_texts), added
    )
