"""The bytes of tokens, for every way in which real tokenizers spell them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mistral_common
import pytest
import tiktoken
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BertTokenizer,
    BioGptTokenizer,
    OpenAIGPTTokenizer,
    PreTrainedTokenizer,
    PreTrainedTokenizerFast,
    T5Tokenizer,
)

from temperament.errors import EngineError
from temperament.plan import token_bytes
from temperament.plan.vocabulary import TokenBytes

MISTRAL = sorted((Path(mistral_common.__file__).parent / "data").iterdir())
LITELLM = "lib/*/site-packages/litellm/litellm_core_utils/tokenizers/*_tokenizer.json"
# Pieces that merges make: a word, and what a Moses tokenizer writes for some characters.
MERGED = ("the", "&apos;", "&quot;", "&lt;", "&gt;", "&#91;", "&#93;")
CHARACTERS = sorted({*"".join((*token_bytes.PROBES, *MERGED))} - {*" \n\t\r"})
WORDS = ("the", "quick", "brown", "fox")


def t5() -> Any:
    """Returns a Unigram tokenizer with Metaspace and no byte fallback, as T5's."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(character, -9.0) for character in CHARACTERS]
    return T5Tokenizer([*special, *letters, *((f"▁{word}", -1.0) for word in WORDS)])


def end_of_word_merges() -> list[tuple[str, str]]:
    """Returns the merges that make each of the merged pieces, letter by letter."""
    merges = []
    for piece in MERGED:
        merges += [(piece[:count], piece[count]) for count in range(1, len(piece) - 1)]
        merges.append((piece[:-1], f"{piece[-1]}</w>"))
    return list(dict.fromkeys(merges))


def end_of_word_vocabulary() -> dict[str, int]:
    """Returns letters inside words and at their ends, and the merged pieces."""
    pieces = ["<unk>", "<s>", "</s>", "<pad>", *CHARACTERS, *(f"{c}</w>" for c in CHARACTERS)]
    pieces += [one + other for one, other in end_of_word_merges()]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def gpt1(gap: int = 0) -> Any:
    """Returns GPT-1's kind of tokenizer, whose pieces end with `</w>` where a word does."""
    return OpenAIGPTTokenizer(with_gap(end_of_word_vocabulary(), gap), end_of_word_merges())


def with_gap(vocabulary: dict[str, int], gap: int) -> dict[str, int]:
    """Returns a vocabulary in which so many ids behind the first five are no tokens."""
    return {piece: token + gap * (token >= 5) for piece, token in vocabulary.items()}


def biogpt(folder: Path, gap: int = 0) -> Any:
    """Returns BioGPT's own Python tokenizer, which writes words as Moses does."""
    (folder / "vocab.json").write_text(json.dumps(with_gap(end_of_word_vocabulary(), gap)))
    merges = "".join(f"{one} {other} 1\n" for one, other in end_of_word_merges())
    (folder / "merges.txt").write_text(merges)
    return BioGptTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def bert() -> Any:
    """Returns BERT's WordPiece tokenizer, whose decoder removes spaces before punctuation."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, "the", "qu", "##ick", ".", ",", "##s"]
    return BertTokenizer({piece: number for number, piece in enumerate(pieces)})


def word_level() -> Any:
    """Returns a tokenizer with a token for each word, and no decoder."""
    vocabulary = {word: number for number, word in enumerate(("<unk>", *WORDS, "`", "=", "x"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


class TiktokenTokenizer(PreTrainedTokenizer):
    """A Python tokenizer around a tiktoken encoding, in the manner of Kimi's own code."""

    def __init__(self) -> None:
        ranks = {bytes([byte]): byte for byte in range(256)}
        for word in (b" the", b"th", b"the", "你好".encode(), b"``", b"```"):
            ranks[word] = len(ranks)
        special = {"<|im_end|>": len(ranks) + 2}
        self.encoding = tiktoken.Encoding(
            "test", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens=special
        )
        super().__init__(eos_token="<|im_end|>")

    @property
    def vocab_size(self) -> int:
        """Returns the number of ids, unused ones included."""
        return int(self.encoding.n_vocab)

    def get_vocab(self) -> dict[str, int]:
        """Returns every token by a printable spelling of its bytes."""
        return {self._convert_id_to_token(token): token for token in range(self.vocab_size)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return [self._convert_id_to_token(token) for token in self.encoding.encode_ordinary(text)]

    def _convert_token_to_id(self, token: str) -> int:
        return int(token) if token.isdigit() else self.encoding.n_vocab - 1

    def _convert_id_to_token(self, index: int) -> str:
        return "<|im_end|>" if index == self.encoding.n_vocab - 1 else str(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Returns the text of some tokens."""
        return str(self.encoding.decode([self._convert_token_to_id(token) for token in tokens]))


def spelled(tokenizer: Any, text: str) -> list[bytes]:
    """Returns the bytes of each token of a text."""
    table = TokenBytes.of(tokenizer).tokens
    return [table[token] for token in token_bytes.encode(tokenizer, text)]


class TestTransformers:
    """Tokenizers of Transformers."""

    def test_metaspace_without_byte_fallback(self) -> None:
        """T5's `▁` is a space in the bytes of its tokens."""
        assert [b" the", b" quick", b" ", b"x"] == spelled(t5(), "the quick x")

    def test_end_of_word_mark(self) -> None:
        """GPT-1's `</w>` is a space behind the word."""
        assert [b"the ", b"f", b"o", b"x "] == spelled(gpt1(), "the fox")

    def test_end_of_word_mark_in_python(self, tmp_path: Path) -> None:
        """BioGPT's `</w>` is a space too, and its `&apos;` an apostrophe."""
        assert [b"the ", b"' ", b"x "] == spelled(biogpt(tmp_path), "the 'x")

    @pytest.mark.parametrize("in_python", [False, True])
    def test_ids_with_a_gap(self, in_python: bool, tmp_path: Path) -> None:
        """The tokens behind a gap have their bytes, though the ids exceed the tokens' number."""
        tokenizer, whole = (biogpt(tmp_path, gap) if in_python else gpt1(gap) for gap in (7, 0))
        tokens, expected = TokenBytes.of(tokenizer).tokens, TokenBytes.of(whole).tokens

        assert len(tokenizer) < len(tokens)
        assert (*expected[:5], *[b""] * 7, *expected[5:]) == tokens

    def test_word_pieces(self) -> None:
        """BERT's `##` continues a word; other pieces begin one."""
        assert [b" the", b" qu", b"ick", b" ."] == spelled(bert(), "the quick.")

    def test_word_level(self) -> None:
        """A word is a token, and the tokenizer joins words by spaces."""
        tokenizer = word_level()

        assert [b" the", b" fox"] == spelled(tokenizer, "the fox")
        assert "the fox" == tokenizer.decode(token_bytes.encode(tokenizer, "the fox"))

    def test_tiktoken_in_a_class_of_its_own(self) -> None:
        """The bytes come from the encoding; an id that is no token has none."""
        tokenizer = TiktokenTokenizer()
        known = TokenBytes.of(tokenizer)

        assert [b"the", b" ", "你好".encode(), b" ", b"```"] == spelled(tokenizer, "the 你好 ```")
        assert ((tokenizer.vocab_size - 1, b"<|im_end|>"),) == known.special
        assert b"" == known.tokens[tokenizer.vocab_size - 2]

    def test_tokenizers_that_litellm_brings(self) -> None:
        """DeepSeek's and Anthropic's real vocabularies give back what they decode."""
        files = sorted((Path(sys.prefix) / "clients").glob(LITELLM))
        if not files:
            pytest.skip("LiteLLM isn't installed in .venv/clients (scripts/setup does)")
        for file in files:
            tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
            text = "```python\n你好 🙂\n```\n"

            assert text.encode() == b"".join(spelled(tokenizer, text)), file.name


class TestMistralCommon:
    """The tokenizers that mistral-common brings: tekken, and SentencePiece of every version."""

    @pytest.mark.parametrize("file", MISTRAL, ids=lambda file: str(file.name))
    def test_bytes(self, file: Path, tmp_path: Path) -> None:
        """The tokens of a text join to it, alone, in vLLM's wrapper and in Transformers'."""
        from vllm.tokenizers.mistral import MistralTokenizer

        name = "tekken.json" if "tekken" in file.name else f"tokenizer.model{file.suffix}"
        shutil.copy(file, tmp_path / name)
        vllms: Any = MistralTokenizer.from_pretrained(str(tmp_path))
        text = "the  quick\n```python\n你好，世界 🙂\n```\n"
        for tokenizer in (vllms, vllms.transformers_tokenizer, vllms.mistral):
            known = TokenBytes.of(tokenizer)

            assert text == b"".join(spelled(tokenizer, text)).decode().removeprefix(" ")
            assert len(vllms) == len(known)
            assert (2, b"</s>") in known.special
            assert ("</s>", 2) in known.added
            assert (2,) == known.ends
            assert b"\n" in known.tokens


class TestRefusals:
    """A table that would be wrong raises an error."""

    @pytest.mark.parametrize(
        "decoder",
        [
            decoders.Replace("a", "b"),
            decoders.Sequence([decoders.Fuse(), decoders.Strip("x", 9, 0)]),
        ],
        ids=["replaces", "strips"],
    )
    def test_bytes_that_do_not_join(self, decoder: Any) -> None:
        """A tokenizer that decodes other bytes than its tokens spell is refused by name."""
        vocabulary = {letter: number for number, letter in enumerate(CHARACTERS)}
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.decoder = decoder
        odd = PreTrainedTokenizerFast(tokenizer_object=tokenizer, name_or_path="odd-one")

        with pytest.raises(EngineError, match=r"don't join to what it decodes.*odd-one"):
            TokenBytes.of(odd)

    def test_a_kind_that_nobody_knows(self) -> None:
        """A tokenizer of which nothing is known is refused by its class."""

        class Unheard:
            """Has a vocabulary, and no more."""

            all_special_ids: tuple[int, ...] = ()
            eos_token_id = None

            def __len__(self) -> int:
                return 2

            def get_vocab(self) -> dict[str, int]:
                """Returns two letters."""
                return {"a": 0, "b": 1}

            def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
                """Returns these letters."""
                return ["ab"[number] for number in ids]

        with pytest.raises(EngineError, match=r"can't be found.*Unheard"):
            TokenBytes.of(Unheard())

    @pytest.mark.parametrize("make", [t5, gpt1, bert, word_level, TiktokenTokenizer])
    def test_the_check_sees_wrong_bytes(self, make: Callable[[], Any]) -> None:
        """One byte too many in one token of a probe is noticed."""
        tokenizer = make()
        table = token_bytes.read(tokenizer)
        special = token_bytes.special_ids(tokenizer)
        token = next(
            number for number in token_bytes.encode(tokenizer, "the") if number not in special
        )
        table[token] += b"!"

        with pytest.raises(EngineError, match="don't join"):
            token_bytes.check(tokenizer, table, special)

    def test_a_model_without_its_tokenizer(self) -> None:
        """Without a tokenizer (vLLM's `--skip-tokenizer-init`) the bytes are refused."""
        with pytest.raises(EngineError, match="without its tokenizer"):
            TokenBytes.of(None, 100)

    @pytest.mark.parametrize("tokenizer", ["gpt2", object()], ids=["name", "object"])
    def test_what_is_no_tokenizer(self, tokenizer: Any) -> None:
        """The name of a tokenizer, for example, is refused."""
        with pytest.raises(EngineError, match="it is no tokenizer of Transformers"):
            TokenBytes.of(tokenizer)

    def test_a_refusal_is_found_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tokenizer isn't read again for each request that it refuses."""
        calls = []

        def wrong(tokenizer: Any) -> list[bytes]:
            calls.append(tokenizer)
            return [b"?"] * len(tokenizer)

        monkeypatch.setattr(token_bytes, "read", wrong)
        tokenizer = word_level()
        for _ in range(2):
            with pytest.raises(EngineError, match="don't join"):
                TokenBytes.of(tokenizer)

        assert [tokenizer] == calls
