"""The bytes of every token, so that texts are matched however a tokenizer cuts them."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from temperament.errors import EngineError, Problem


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
        """The tokens of a Transformers tokenizer, `size` of them (a model may have more logits).

        The bytes come from xgrammar, which knows byte-level and byte-fallback vocabularies; the
        pieces of a WordPiece vocabulary are continued by `##`. Raises `EngineError` if xgrammar
        is not installed.
        """
        return _token_bytes(tokenizer, size or len(tokenizer))


@lru_cache(maxsize=4)
def _token_bytes(tokenizer: Any, size: int) -> TokenBytes:
    if _is_wordpiece(tokenizer):
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        table = [_word_piece(piece) for piece in pieces]
    else:
        try:
            from xgrammar import TokenizerInfo
        except ImportError as error:
            raise EngineError(
                Problem(
                    "tokenizer",
                    "",
                    "texts are matched on bytes, which xgrammar gives",
                    allowed="pip install xgrammar",
                )
            ) from error
        table = list(TokenizerInfo.from_huggingface(tokenizer).decoded_vocab)
    specials = []
    for special in sorted(_special(tokenizer)):
        if special < min(size, len(table)):
            table[special] = b""
            specials.append((special, str(tokenizer.convert_ids_to_tokens(special)).encode()))
    table = [*table[:size], *[b""] * (size - len(table))]
    end = tokenizer.eos_token_id
    ends: Sequence[int] = end if isinstance(end, (list, tuple)) else [end]
    known = getattr(tokenizer, "added_tokens_decoder", {})
    added = tuple((str(token), number) for number, token in known.items() if number < size)
    return TokenBytes(tuple(table), tuple(e for e in ends if e is not None), tuple(specials), added)


def _special(tokenizer: Any) -> set[int]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}


def _is_wordpiece(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and type(backend.model).__name__ == "WordPiece"


def _word_piece(piece: str) -> bytes:
    continued = piece.startswith("##") and len(piece) > len("##")
    return (piece.removeprefix("##") if continued else f" {piece}").encode()
