"""The tokenizers that Python packages bring."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tiktoken
from transformers import AutoTokenizer, PreTrainedTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

ENDOFTEXT, ENDOFPROMPT = "<|endoftext|>", "<|endofprompt|>"

# What cuts a text into the pieces that are then merged, as each package's own code has it.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

# name -> (file of a package, cut, special tokens from the end of the vocabulary on)
TIKTOKEN = {
    "cl100k": ("litellm/*/tokenizers/9b5ad71b2ce5302211f9c61530b329a4922fc6a4", CL100K),
    "o200k": ("litellm/*/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790", CL100K),
    "p50k": ("litellm/*/tokenizers/ec7223a39ce59f226a68acc30dc1af2788490e15", GPT2),
    "Qwen": ("dashscope/resources/qwen.tiktoken", QWEN),
    "Whisper, English": ("whisper/assets/gpt2.tiktoken", GPT2),
    "Whisper": ("whisper/assets/multilingual.tiktoken", GPT2),
}
JSON = {
    "DeepSeek": "litellm/*/tokenizers/deepseek_tokenizer.json",
    "Anthropic": "litellm/*/tokenizers/anthropic_tokenizer.json",
}


class InAClass(PreTrainedTokenizer):
    """A Python tokenizer around a tiktoken encoding, as Kimi's and Qwen-7B's own code is."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.encoding = encoding
        super().__init__(eos_token=ENDOFTEXT)

    @property
    def vocab_size(self) -> int:
        """The number of ids, unused ones included."""
        return int(self.encoding.n_vocab)

    def get_vocab(self) -> dict[str, int]:
        """Every token by the text of its id, the special ones by their names."""
        names = {str(token): token for token in range(self.vocab_size)}
        return names | {ENDOFTEXT: self.encoding.eot_token}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return [str(token) for token in self.encoding.encode_ordinary(text)]

    def _convert_token_to_id(self, token: str) -> int:
        return int(token) if token.isdigit() else self.encoding.eot_token

    def _convert_id_to_token(self, index: int) -> str:
        return ENDOFTEXT if index == self.encoding.eot_token else str(index)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of some tokens."""
        return str(self.encoding.decode([self._convert_token_to_id(token) for token in tokens]))


def ranks(file: Path) -> dict[bytes, int]:
    """The tokens of a tiktoken file. Whisper's has an empty token, `=`."""
    lines = (line.split() for line in file.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def in_a_class(file: Path, cut: str) -> InAClass:
    """The tokenizer of a tiktoken file, inside a class."""
    merges = ranks(file)
    special = {ENDOFTEXT: max(merges.values()) + 1, ENDOFPROMPT: max(merges.values()) + 2}
    encoding = tiktoken.Encoding(
        file.name, pat_str=cut, mergeable_ranks=merges, special_tokens=special
    )
    return InAClass(encoding)


def converted(file: Path, cut: str) -> Any:
    """The same, converted by Transformers."""
    converter = TikTokenConverter(str(file), pattern=cut, extra_special_tokens=[ENDOFTEXT])
    return PreTrainedTokenizerFast(tokenizer_object=converter.converted(), eos_token=ENDOFTEXT)


def mistral(file: Path, scratch: Path) -> Any:
    """vLLM's wrapper of one of mistral-common's tokenizers."""
    from vllm.tokenizers.mistral import MistralTokenizer

    folder = scratch / file.name
    folder.mkdir()
    name = "tekken.json" if "tekken" in file.name else f"tokenizer.model{file.suffix}"
    shutil.copy(file, folder / name)
    return MistralTokenizer.from_pretrained(str(folder))


def available(
    packages: Path, models: Mapping[str, Path], scratch: Path
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields the name of each, and what loads it; `models` are folders by name."""
    import mistral_common

    for name, pattern in JSON.items():
        file = next(packages.glob(pattern))
        yield name, partial(PreTrainedTokenizerFast, tokenizer_file=str(file))
    for name, (pattern, cut) in TIKTOKEN.items():
        file = next(packages.glob(pattern))
        yield name, partial(in_a_class, file, cut)
        yield f"{name}, converted", partial(converted, file, cut)
    for file in sorted((Path(mistral_common.__file__).parent / "data").iterdir()):
        kind = file.stem.replace("_", " ") if "tekken" in file.name else file.suffix[1:]
        yield f"Mistral, {kind}", partial(mistral, file, scratch)
    for name, folder in models.items():
        yield name, partial(AutoTokenizer.from_pretrained, folder)
