"""The bytes of tokens give back the text, in the three families of tokenizers."""

from typing import Any

import pytest

from temperament.plan.vocabulary import TokenBytes
from tests.small_tokenizers import byte_fallback, byte_level, word_piece

TEXT = "the naïve jumper sleeps, 你好 🙂\n\tunknown wörds: xyzzy!"


def joined(tokenizer: Any, text: str) -> bytes:
    """Returns the bytes of a text's tokens."""
    known = TokenBytes.of(tokenizer)
    return b"".join(
        known.tokens[token] for token in tokenizer.encode(text, add_special_tokens=False)
    )


class TestBytes:
    """`TokenBytes.of` finds the bytes of each token of a tokenizer."""

    def test_byte_level(self) -> None:
        """Byte-level tokens join to the text, also where letters are cut and tokens were added."""
        assert TEXT == joined(byte_level(), TEXT).decode()
        assert f"<think>{TEXT}" == joined(byte_level(), f"<think>{TEXT}").decode()

    def test_byte_fallback(self) -> None:
        """Tokens with byte fallback join to the text, after the space that the tokenizer adds."""
        tokenizer = byte_fallback()

        assert f" {TEXT}" == joined(tokenizer, TEXT).decode()
        assert 4 == len(tokenizer.encode("你", add_special_tokens=False))  # a space, three bytes

    def test_word_piece(self) -> None:
        """WordPiece tokens join to words with a space before each, as the tokenizer joins them."""
        tokenizer = word_piece()
        text = "sleeping dog jumps unsleeping"
        ids = tokenizer.encode(text, add_special_tokens=False)

        assert len(ids) > 4
        assert f" {text}" == joined(tokenizer, text).decode()
        assert tokenizer.decode(ids) == joined(tokenizer, text).decode().strip()

    @pytest.mark.parametrize("make", [byte_level, byte_fallback, word_piece])
    def test_special_tokens_have_none(self, make: Any) -> None:
        """Special tokens have no bytes, and all others have at least one."""
        tokenizer = make()
        known = TokenBytes.of(tokenizer)
        without = [token for token, spelling in enumerate(known.tokens) if not spelling]

        assert set(tokenizer.all_special_ids) == set(without)
        assert len(tokenizer) == len(known)

    def test_a_model_may_have_more_logits(self) -> None:
        """A table as wide as the logits has no bytes where the tokenizer has no token."""
        tokenizer = byte_level()
        plain = TokenBytes.of(tokenizer).tokens

        assert (*plain, *[b""] * 7) == TokenBytes.of(tokenizer, len(plain) + 7).tokens
        assert plain[:100] == TokenBytes.of(tokenizer, 100).tokens

    def test_ends(self) -> None:
        """`ends` is the end-of-text token, and empty if the tokenizer has none."""
        assert (0,) == TokenBytes.of(byte_level()).ends
        assert () == TokenBytes.of(word_piece()).ends

    def test_bytes_are_found_once(self) -> None:
        """The table of a tokenizer is computed once and kept."""
        tokenizer = byte_level()

        assert TokenBytes.of(tokenizer) is TokenBytes.of(tokenizer)
