"""`start: auto` on the prompts that vLLM's own encoders write, with DeepSeek's real tokenizer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast
from vllm.tokenizers.deepseek_v4 import get_deepseek_v4_tokenizer
from vllm.tokenizers.deepseek_v32 import get_deepseek_v32_tokenizer
from vllm.tokenizers.deepseek_v41 import get_deepseek_v41_tokenizer

from temperament import Catalogue
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes

FILE = "lib/*/site-packages/litellm/litellm_core_utils/tokenizers/deepseek_tokenizer.json"
SHIPPED = Catalogue.load(environment=False).for_model("deepseek-ai/DeepSeek-V3.2")
ENCODERS: list[Callable[[Any], Any]] = [
    get_deepseek_v32_tokenizer, get_deepseek_v4_tokenizer, get_deepseek_v41_tokenizer,
]  # fmt: skip
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
HELLO = {"role": "user", "content": "Hello"}
CALL = {
    "role": "assistant",
    "content": "",
    "reasoning": "I need it.",
    "reasoning_content": "I need it.",
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ],
}  # fmt: skip
# What was said before, and tools.
CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "one turn": ([HELLO], {}),
    "a system prompt and tools": ([{"role": "system", "content": "Be brief."}, HELLO],
                                  {"tools": TOOLS}),
    "several turns": ([HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm",
                               "reasoning": "Hm"}, HELLO], {}),
    "after a tool": ([HELLO, CALL, {"role": "tool", "tool_call_id": "a", "content": "sunny"}],
                     {"tools": TOOLS}),
    "the user's open fence": ([{"role": "user", "content": "Mend\n```py\nx = ("}], {}),
    "the user's marks": ([{"role": "user", "content": "What is <tool_call> and <think>?"}], {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def deepseek() -> Any:
    """The tokenizer that LiteLLM brings."""
    file = next((Path(sys.prefix) / "clients").glob(FILE), None)
    if file is None:
        pytest.skip("LiteLLM isn't installed in .venv/clients (scripts/setup does)")
    return PreTrainedTokenizerFast(tokenizer_file=str(file))


@pytest.mark.parametrize("thinks", [True, False], ids=["thinking", "not thinking"])
@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("encoder", ENCODERS, ids=["V3.2", "V4", "V4.1"])
def test_a_text_begins_in_the_mode_of_its_own_turn(
    deepseek: Any, encoder: Callable[[Any], Any], conversation: Any, thinks: bool
) -> None:
    """The thinking that the encoder opens counts, and nothing that earlier turns have left open."""
    messages, arguments = conversation
    tokenizer = encoder(deepseek)
    prompt = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tokenize=True, thinking=thinks, **arguments
    )
    known = TokenBytes.of(deepseek)

    def first(name: str) -> str:
        switching = Switching.of(SHIPPED[name])
        assert switching is not None
        tracer = Tracer(mode_automaton(switching, known))
        tracer.read_prompt(prompt)
        return switching.modes[tracer.mode]

    assert ["think" if thinks else "answer", "text", "prose"] == [
        first(name) for name in ("reasoning", "agent", "coding-assistant")
    ]
