"""The bytes of tokens give back the text, in the three families of tokenizers."""

from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from temperament.plan.vocabulary import TokenBytes

CORPUS = [
    "the quick brown fox jumps over the lazy dog, and the dog sleeps on",
    "a naïve café; 你好，世界 — ünïcödé everywhere\nand lines\n\tof text",
    "sleeping sleeper unsleeping jumping jumper",
] * 20
TEXT = "the naïve jumper sleeps, 你好 🙂\n\tunknown wörds: xyzzy!"


def byte_level() -> Any:
    """As GPT-2, Llama 3, Qwen and SmolLM2 have it."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")


def byte_fallback() -> Any:
    """As Llama 2 and Gemma have it: `▁` for a space, `<0x0A>` for a byte that no piece has."""
    alphabet = sorted({c for c in "".join(CORPUS).replace(" ", "▁") if c.isascii()} | {"▁"})
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *alphabet]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    merges = []
    for one, other in (("▁", "t"), ("h", "e"), ("▁t", "he"), ("s", "l"), ("e", "e"), ("sl", "ee")):
        merges.append((one, other))
        vocabulary[one + other] = len(vocabulary)
    bpe = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    made = Tokenizer(bpe)
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def word_piece() -> Any:
    """As BERT has it: `##` for what continues a word."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(
        vocab_size=90, special_tokens=["[UNK]", "[SEP]"], show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", sep_token="[SEP]")


def joined(tokenizer: Any, text: str) -> bytes:
    """The bytes of a text's tokens."""
    known = TokenBytes.of(tokenizer)
    return b"".join(
        known.tokens[token] for token in tokenizer.encode(text, add_special_tokens=False)
    )


class TestBytes:
    """What a token stands for."""

    def test_byte_level(self) -> None:
        """Exactly the text, with letters that are cut into bytes, and tokens added later."""
        assert joined(byte_level(), TEXT).decode() == TEXT
        assert joined(byte_level(), f"<think>{TEXT}").decode() == f"<think>{TEXT}"

    def test_byte_fallback(self) -> None:
        """The text behind the space that the tokenizer puts in front."""
        tokenizer = byte_fallback()

        assert joined(tokenizer, TEXT).decode() == f" {TEXT}"
        assert len(tokenizer.encode("你", add_special_tokens=False)) == 4  # a space, three bytes

    def test_word_piece(self) -> None:
        """Words with a space before each: what the tokenizer itself joins them to."""
        tokenizer = word_piece()
        text = "sleeping dog jumps unsleeping"
        ids = tokenizer.encode(text, add_special_tokens=False)

        assert len(ids) > 4
        assert joined(tokenizer, text).decode() == f" {text}"
        assert joined(tokenizer, text).decode().strip() == tokenizer.decode(ids)

    @pytest.mark.parametrize("make", [byte_level, byte_fallback, word_piece])
    def test_special_tokens_have_none(self, make: Any) -> None:
        """All others have at least one."""
        tokenizer = make()
        known = TokenBytes.of(tokenizer)
        without = [token for token, spelling in enumerate(known.tokens) if not spelling]

        assert set(without) == set(tokenizer.all_special_ids)
        assert len(known) == len(tokenizer)

    def test_a_model_may_have_more_logits(self) -> None:
        """Or fewer; what has no token has no bytes."""
        tokenizer = byte_level()
        plain = TokenBytes.of(tokenizer).tokens

        assert TokenBytes.of(tokenizer, len(plain) + 7).tokens == (*plain, *[b""] * 7)
        assert TokenBytes.of(tokenizer, 100).tokens == plain[:100]

    def test_ends(self) -> None:
        """The end-of-text token, if there is one."""
        assert TokenBytes.of(byte_level()).ends == (0,)
        assert TokenBytes.of(word_piece()).ends == ()

    def test_bytes_are_found_once(self) -> None:
        """The table of a tokenizer is kept."""
        tokenizer = byte_level()

        assert TokenBytes.of(tokenizer) is TokenBytes.of(tokenizer)
