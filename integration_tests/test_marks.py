"""In answers of real tokenizers, a mode switches on the token that completes the model's mark.

The answers are written as the family's parser in vLLM reads them, and cut by the family's own
tokenizer, where a package brings it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import mistral_common
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from integration_tests.harness.models import model_path
from integration_tests.harness.server import Server
from temperament import Catalogue
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer, spans
from temperament.plan.vocabulary import TokenBytes

LITELLM = "lib/*/site-packages/litellm/litellm_core_utils/tokenizers"
TEKKEN = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"


@cache
def of_litellm(name: str) -> Any:
    """A tokenizer that LiteLLM brings."""
    for folder in (Path(sys.prefix) / "clients").glob(LITELLM):
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / f"{name}_tokenizer.json"))
    pytest.skip("LiteLLM isn't installed in .venv/clients (scripts/setup does)")


@cache
def of_model(name: str) -> Any:
    """The tokenizer of a test model."""
    return AutoTokenizer.from_pretrained(model_path(name))


@cache
def of_mistral(_: str) -> Any:
    """Tekken, in vLLM's wrapper."""
    from vllm.tokenizers.mistral import MistralTokenizer

    with TemporaryDirectory() as folder:
        shutil.copy(TEKKEN, Path(folder) / "tekken.json")
        return MistralTokenizer.from_pretrained(folder)


class Answer(NamedTuple):
    """An answer in parts, each with its mode; a mark belongs to the part that it ends."""

    tokenizer: Callable[[str], Any]
    name: str
    # whose formats are those of `configs/models`
    model: str
    preset: str
    parts: list[tuple[str, str]]


CALL = '{"name": "f", "arguments": {"a": 1}}'
DEEPSEEK_CALL = "<｜DSML｜tool_calls>", "</｜DSML｜tool_calls>"
ANSWERS = [
    Answer(of_litellm, "deepseek", "deepseek-ai/DeepSeek-R1", "reasoning",
           [("answer", "<think>"), ("think", "\nIt is 4.\n</think>"), ("answer", "\n\nFour.")]),
    Answer(of_litellm, "deepseek", "deepseek-ai/DeepSeek-V4-Pro", "agent",
           [("text", f"Wait.\n\n{DEEPSEEK_CALL[0]}"), ("call", f"\n{CALL}\n{DEEPSEEK_CALL[1]}"),
            ("text", "Done.")]),
    Answer(of_litellm, "anthropic", "Qwen/Qwen3-8B", "agent",
           [("text", "Let me look.\n<tool_call>"), ("call", f"\n{CALL}\n</tool_call>"),
            ("text", "\nend")]),
    Answer(of_model, "smollm2", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "agent",
           [("text", "Sure.<tool_call>"), ("call", f"[{CALL}]</tool_call>"), ("text", "Done.")]),
    Answer(of_model, "smollm2", "Qwen/Qwen3-8B", "reasoning",
           [("answer", "<think>"), ("think", "a <thin k> b</think>"), ("answer", "c")]),
    Answer(of_model, "gemma", "google/gemma-4-31B-it", "reasoning",
           [("answer", "<|channel>"), ("think", "thought\nIt is 4.\n<channel|>"),
            ("answer", "Four.")]),
    Answer(of_mistral, "tekken", "mistralai/Ministral-3-8B-Instruct-2512", "agent",
           [("text", "[TOOL_CALLS]"), ("call", f"[{CALL}]")]),
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: f"{one.name}-{one.preset}-{one.model}")
def test_the_switch_falls_on_the_right_token(answer: Answer) -> None:
    """Each part, cut by the tokenizer together with what follows it, is in its mode."""
    tokenizer = answer.tokenizer(answer.name)
    preset = Catalogue.load(environment=False).for_model(answer.model)[answer.preset]
    switching = Switching.of(preset)
    assert switching is not None
    vocabulary = TokenBytes.of(tokenizer)
    text = Tracer(mode_automaton(switching, vocabulary))
    whole = "".join(part for _, part in answer.parts)
    tokens = ids_of(tokenizer, whole)
    text.read(tokens)

    ends, done = [], ""
    for _, part in answer.parts:
        done += part
        ends.append(first_with(vocabulary, tokens, done))
    expected = [
        (mode, begin, end)
        for (mode, _), begin, end in zip(answer.parts, [0, *ends], ends, strict=False)
    ]
    assert expected == spans(text)


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text; tekken's control tokens aren't made from text."""
    mark = "[TOOL_CALLS]"
    if text.startswith(mark) and not isinstance(tokenizer, PreTrainedTokenizerFast):
        control = tokenizer.get_vocab()[mark]
        return [control, *tokenizer.encode(text.removeprefix(mark), add_special_tokens=False)]
    return list(tokenizer.encode(text, add_special_tokens=False))


def first_with(vocabulary: TokenBytes, tokens: list[int], text: str) -> int:
    """How many tokens spell a text, the last of them perhaps more."""
    spelled = b""
    for count, token in enumerate(tokens, 1):
        spelled += vocabulary.spelled[token]
        if len(spelled) >= len(text.encode()):
            return count
    raise AssertionError(f"{spelled!r} is less than {text!r}")


def test_a_start_says_which_modes_are_never_reached(v1_server: Server) -> None:
    """SmolLM2 writes no reasoning: the log names the preset that waits for it, and no other."""
    told = re.findall(
        r"temperament: preset (\w+) never switches on (.*)", v1_server.log.read_text()
    )

    never = "the model writes no reasoning"
    expected = f"reasoning.start: {never}, never switches on reasoning.end: {never}"
    assert [("reasoning", expected)] == told


CHAT = [{"role": "user", "content": "Mend\n```py\nx = ("}]


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("Sure, here", "prose"),
        ("Here:\n```python\nx = (", "fence"),
        ("Here:\n```python\nx\n```\nNow", "prose"),
        (None, "prose"),
    ],
    ids=["words", "an open fence", "a closed fence", "nothing"],
)
@pytest.mark.parametrize("before", [[], [{"role": "system", "content": "Be brief. ```"}, *CHAT,
                                         {"role": "assistant", "content": "~~~\nx"}]],
                         ids=["one turn", "several turns"])  # fmt: skip
def test_a_message_to_continue(
    before: list[dict[str, str]], begun: str | None, expected: str
) -> None:
    """By a template of Transformers such a message stays open, and what it leaves open counts."""
    tokenizer = of_model("smollm2")
    chat = [*before, *CHAT] + ([{"role": "assistant", "content": begun}] if begun else [])
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=not begun, continue_final_message=bool(begun), return_dict=False
    )
    switching = Switching.of(Catalogue.load(environment=False)["coding-assistant"])
    assert switching is not None
    text = Tracer(mode_automaton(switching, TokenBytes.of(tokenizer)))
    text.read_prompt(prompt)

    assert expected == switching.modes[text.mode]
