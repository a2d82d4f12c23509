"""The marks in `configs/markers.yaml` are those of vLLM's own parsers."""

from __future__ import annotations

import inspect
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import vllm
import yaml
from packaging.version import Version
from vllm.reasoning import ReasoningParser, ReasoningParserManager
from vllm.tool_parsers import ToolParser, ToolParserManager

from temperament.engines.vllm import parsers
from temperament.engines.vllm.parsers import ask, parser_marks, server_marks
from temperament.presets.markers import configs, formats

REGISTERED = [
    *(("reasoning", name) for name in sorted(ReasoningParserManager.lazy_parsers)),
    *(("tool_call", name) for name in sorted(ToolParserManager.lazy_parsers)),
]
# The parsers that have no attributes for their marks: the file alone says them.
SILENT = {
    "reasoning": {"granite", "hunyuan_a13b", "minimax_m2_append_think", "muse", "muse_glimmer",
                  "musespark1x", "openai_gptoss"},
    "tool_call": {"apertus", "cohere_command3", "cohere_command4", "gigachat3", "hy_v4", "internlm",
                  "lfm2", "llama4_pythonic", "muse", "muse_glimmer", "musespark1x", "olmo3",
                  "openai", "pythonic", "xlam"},
}  # fmt: skip
# The parsers that read their marks from the tokenizer's own configuration.
OF_TOKENIZER = {"hf", "beam"}


class _Vocabulary(dict[str, int]):
    """Every text is a token."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]

    def get(self, text: str, default: Any = None) -> int:
        return self[text]

    def __contains__(self, text: object) -> bool:
        return True


class Tokenizer:
    """A tokenizer with every token that a parser may look for: no real one has them all."""

    chat_template = ""
    eos_token_id, bos_token_id = 1, 0

    def __init__(self, **init_kwargs: Any) -> None:
        self.init_kwargs = init_kwargs
        self.vocab = _Vocabulary()

    def get_vocab(self) -> dict[str, int]:
        """Returns the vocabulary, which grows as it is asked."""
        return self.vocab

    def encode(self, text: str, **_: Any) -> list[int]:
        """Returns the one token of a text."""
        return [self.vocab[text]]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Returns the id of a token, or the ids of a list."""
        return self.vocab[tokens] if isinstance(tokens, str) else [self.vocab[t] for t in tokens]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("all_special"):
            return []
        raise AttributeError(name)


@pytest.mark.parametrize(("part", "name"), REGISTERED)
def test_every_registered_parser(part: str, name: str) -> None:
    """A parser's marks are in the file, the same as its attributes; or the file has the reason."""
    known = formats()[part][name]
    asked = ask(part, name, Tokenizer())

    if name in SILENT[part] | OF_TOKENIZER:
        assert asked is None
        assert known.unmarked or known.start
    else:
        assert asked is not None
        assert set(asked.start) <= set(known.start)
        assert set(asked.end) <= set(known.end)


def test_the_file_has_no_other_parser() -> None:
    """The file names no parser that vLLM doesn't register, newer versions' left aside."""
    version = Version(vllm.__version__)
    named = {
        (part, name)
        for part, entries in formats().items()
        for name, marks in entries.items()
        if Version(marks.since or "0") <= version
    }

    assert set(REGISTERED) == named


def test_the_marks_of_silent_parsers_stand_in_their_modules() -> None:
    """A parser's modules contain each of its marks, for the parsers that can't be asked."""
    document = yaml.safe_load((configs() / "markers.yaml").read_text(encoding="utf-8"))
    assert "vLLM 0.32.0" == document["version"]
    harmony = {("reasoning", "openai_gptoss"), ("tool_call", "openai")}  # openai_harmony reads it
    for part, names in SILENT.items():
        for name in names:
            if (part, name) in harmony or (part, name) not in REGISTERED:
                continue
            marks, text = formats()[part][name], modules_of(part, name)
            for written, meant in ((r"\|", "|"), ("\\n", "\n"), ("{token_suffix}", "")):
                text = text.replace(written, meant)
            for mark in (*marks.start, *marks.end):
                assert mark.split("><")[0] in text, (part, name, mark)


def modules_of(part: str, name: str) -> str:
    """The text of the module that a format's entry names, and of the parser's own modules.

    A later version may have moved the marks to a class from which the parser derives.
    """
    if part == "reasoning":
        parser: type = ReasoningParserManager.get_reasoning_parser(name)
    else:
        parser = ToolParserManager.get_tool_parser(name)
    folder = Path(vllm.__file__).parent
    files = {folder / formats()[part][name].source.removeprefix("vllm/")}
    files |= {Path(inspect.getfile(c)) for c in parser.__mro__ if c.__module__.startswith("vllm.")}
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_a_suffix_of_the_tokenizer() -> None:
    """Hunyuan's tokenizers may add a suffix to every mark: the parser knows it."""
    marks = parser_marks("tool_call", "hy_v3", Tokenizer(token_suffix=":x"))

    assert marks is not None
    assert "<tool_calls:x>" == marks.start[0]


def test_a_response_template() -> None:
    """The parser hf reads the marks in the tokenizer's own response template."""
    template = {
        "start_anchor": "<start>",
        "fields": {
            "thinking": {"open": "<thoughts>", "close": "</thoughts>"},
            "tool_calls": {
                "open": "<call>",
                "close": "</call>",
                "content": "json",
                "repeats": True,
            },
            "content": {},
        },
    }
    tokenizer = Tokenizer(response_template=template)

    assert ("<call>",) == ask("tool_call", "hf", tokenizer).start  # type: ignore[union-attr]
    assert ("</thoughts>",) == ask("reasoning", "hf", tokenizer).end  # type: ignore[union-attr]


class OperatorsToolParser(ToolParser):
    """A parser that an operator brings."""

    tool_call_start_token = "<<call"
    tool_call_end_token = "call>>"


class OperatorsReasoningParser(ReasoningParser):
    """A parser that doesn't tell its marks."""

    is_reasoning_end = extract_content_ids = extract_reasoning = None
    extract_reasoning_streaming = None


@pytest.fixture
def operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers an operator's parsers, as --tool-parser-plugin does."""
    monkeypatch.setitem(ToolParserManager.tool_parsers, "operators", OperatorsToolParser)
    monkeypatch.setitem(
        ReasoningParserManager.reasoning_parsers, "operators", OperatorsReasoningParser
    )
    monkeypatch.setattr(parsers, "_tokenizer", lambda _config: Tokenizer())


def _config(reasoning: str) -> Any:
    return SimpleNamespace(structured_outputs_config=SimpleNamespace(reasoning_parser=reasoning))


def test_the_parsers_of_a_server(operators: None) -> None:
    """A server's marks are those of its parsers; one without attributes leaves the family's."""
    args = Namespace(enable_auto_tool_choice=True, tool_call_parser="operators")
    marks = server_marks(_config("operators"), args)

    assert {"tool_call": (("<<call",), ("call>>",))} == {
        part: (m.start, m.end) for part, m in marks.items()
    }


def test_a_server_without_tool_calls(operators: None) -> None:
    """Without --enable-auto-tool-choice the tool parser is not in use."""
    args = Namespace(enable_auto_tool_choice=False, tool_call_parser="hermes")

    assert {"reasoning"} == server_marks(_config("qwen3"), args).keys()
