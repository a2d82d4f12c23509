"""Texts are matched on the bytes of the vocabulary, however a real tokenizer cuts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from temperament import process
from temperament.engines.transformers import generate_kwargs
from temperament.plan.vocabulary import TokenBytes

TEXTS = {
    "English": "The quick brown fox, naïve as ever:  two spaces.",
    "Chinese": "春天来了,花儿开了。「你好」",
    "emoji": "A smile 😀, a family 👨‍👩‍👧, a flag 🇫🇷",
    "lines and indents": "def f():\n    return 1\n\n\n\tx\r\n      y",
    "tags": "<b>bold</b> <table>",
    "rare letters": "𓀀 𒀀 ꙮ",
}
PROMPT = (
    "Germany's capital is Berlin. Italy's capital is Rome. Spain's capital is Madrid. "
    "France's capital is"
)
BANNED = "Paris"
CONTINUATIONS = 16
TOKENS = 8


@pytest.fixture(scope="module")
def gemma(gemma_path: Path) -> SimpleNamespace:
    """The tokenizer and the bytes of its tokens."""
    tokenizer = AutoTokenizer.from_pretrained(gemma_path)
    return SimpleNamespace(tokenizer=tokenizer, bytes=TokenBytes.of(tokenizer))


class TestTokenBytes:
    """`TokenBytes` of Gemma's 262,144 tokens."""

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_joined_they_are_the_text(self, gemma: SimpleNamespace, text: str) -> None:
        """The bytes of a text's tokens join to the text, spaces included."""
        ids = gemma.tokenizer(text, add_special_tokens=False)["input_ids"]

        assert text.encode() == b"".join(gemma.bytes.tokens[i] for i in ids)

    def test_letters_that_are_no_token_are_bytes(self, gemma: SimpleNamespace) -> None:
        """A letter without a token has one for each of its bytes; all 256 bytes have one."""
        ids = gemma.tokenizer("𓀀", add_special_tokens=False)["input_ids"]
        names = [f"<0x{byte:02X}>" for byte in range(256)]

        assert [b"\xf0", b"\x93", b"\x80", b"\x80"] == [gemma.bytes.tokens[i] for i in ids]
        assert [bytes([byte]) for byte in range(256)] == [
            gemma.bytes.tokens[i] for i in gemma.tokenizer.convert_tokens_to_ids(names)
        ]

    def test_special_tokens_have_none(self, gemma: SimpleNamespace) -> None:
        """Special tokens have no bytes, since they are no part of a text."""
        names = ["<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>", "<unused0>"]
        ids = gemma.tokenizer.convert_tokens_to_ids(names)

        assert [b""] * len(names) == [gemma.bytes.tokens[i] for i in ids]
        assert (gemma.tokenizer.eos_token_id,) == gemma.bytes.ends
        assert sum(not token for token in gemma.bytes.tokens) < 0.03 * len(gemma.bytes)

    def test_the_tokenizer_begins_a_text(self, gemma: SimpleNamespace) -> None:
        """The folder's tokenizer puts <bos> in front, as the original one does."""
        assert gemma.tokenizer.bos_token_id == gemma.tokenizer("Hello")["input_ids"][0]


def cuts(text: bytes, by_bytes: dict[bytes, int]) -> Iterator[list[int]]:
    """All ways to put `text` together from tokens."""
    if not text:
        yield []
    for length in range(1, len(text) + 1):
        if (token := by_bytes.get(text[:length])) is not None:
            for rest in cuts(text[length:], by_bytes):
                yield [token, *rest]


class TestABannedString:
    """`banned_strings` on Gemma, in Transformers."""

    def test_every_cut_of_it_is_banned(self, gemma: SimpleNamespace) -> None:
        """After each spelling of its beginning, the tokens that would complete it are masked.

        Tokens that go on after it are masked too, and no others.
        """
        by_bytes = {token: i for i, token in enumerate(gemma.bytes.tokens) if token}
        spelt = [cut for start in (b"", b" ") for cut in cuts(start + BANNED.encode(), by_bytes)]
        assert len(spelt) >= 10
        logits = process(
            torch.zeros(len(spelt), len(gemma.bytes)),
            {"banned_strings": [BANNED]},
            prompt_ids=[[gemma.tokenizer.bos_token_id]] * len(spelt),
            output_ids=[cut[:-1] for cut in spelt],
            tokenizer=gemma.tokenizer,
        )

        for cut, row in zip(spelt, logits, strict=True):
            before = b"".join(gemma.bytes.tokens[i] for i in cut[:-1])
            completing = [
                i
                for i, token in enumerate(gemma.bytes.tokens)
                if token and BANNED.encode() in before + token
            ]
            assert cut[-1] in completing
            assert completing == torch.where(row == -torch.inf)[0].tolist()

    def test_it_never_appears(self, gemma: SimpleNamespace, gemma_path: Path) -> None:
        """The string is in most continuations, and with the ban in none."""
        model = AutoModelForCausalLM.from_pretrained(gemma_path, dtype=torch.float32).eval()
        inputs = gemma.tokenizer(PROMPT, return_tensors="pt")

        def texts(preset: dict[str, Any]) -> list[str]:
            torch.manual_seed(0)
            done = model.generate(
                **inputs,
                **generate_kwargs(preset, gemma.tokenizer),
                num_return_sequences=CONTINUATIONS,
                max_new_tokens=TOKENS,
            )
            return list(gemma.tokenizer.batch_decode(done[:, inputs["input_ids"].shape[1] :]))

        free = texts({"temperature": 0.8, "min_p": 0.02})
        banned = texts({"temperature": 0.8, "min_p": 0.02, "banned_strings": [BANNED]})
        count = sum(BANNED in text for text in free)
        print(f"\n{BANNED!r} in {count} of {CONTINUATIONS} free ones; with the ban they begin with"
              f" {sorted({text[:12] for text in banned})}")  # fmt: skip

        assert count > CONTINUATIONS / 2
        assert not any(BANNED in text for text in banned)
