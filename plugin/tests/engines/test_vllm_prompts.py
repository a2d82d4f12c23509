"""`start: auto` on the prompts that real encoders and templates write, with the real tokenizers.

These are vLLM's own encoders for DeepSeek and Harmony, and mistral-common's.
"""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mistral_common
import pytest
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from transformers import PreTrainedTokenizerFast
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionToolsParam
from vllm.entrypoints.openai.parser.harmony_utils import (
    build_harmony_preamble,
    get_encoding,
    parse_chat_inputs_to_harmony_messages,
    render_for_completion,
)
from vllm.tokenizers.deepseek_v4 import get_deepseek_v4_tokenizer
from vllm.tokenizers.deepseek_v32 import get_deepseek_v32_tokenizer
from vllm.tokenizers.deepseek_v41 import get_deepseek_v41_tokenizer
from vllm.tokenizers.mistral import MistralTokenizer

from temperament import Catalogue
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes

TOKENIZERS = "lib/*/site-packages/litellm/litellm_core_utils/tokenizers"
DEEPSEEK = "deepseek_tokenizer.json"
O200K = "fb374d419588a4632f3f557e76b4b70aebbca790"
HARMONY = ("start", "end", "message", "channel", "constrain", "return", "call")
PRESETS = ("reasoning", "agent", "coding-assistant")
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
        {"id": "abcd12345", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ],
}  # fmt: skip
SUNNY = {"role": "tool", "tool_call_id": "abcd12345", "content": "sunny"}
# What was said before, and tools.
CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "one turn": ([HELLO], {}),
    "a system prompt and tools": ([{"role": "system", "content": "Be brief."}, HELLO],
                                  {"tools": TOOLS}),
    "several turns": ([HELLO, {"role": "assistant", "content": "Hi", "reasoning_content": "Hm",
                               "reasoning": "Hm"}, HELLO], {}),
    "after a tool": ([HELLO, CALL, SUNNY], {"tools": TOOLS}),
    "the user's open fence": ([{"role": "user", "content": "Mend\n```py\nx = ("}], {}),
    "the user's marks": ([{"role": "user", "content": "What is <tool_call> and <think>?"}], {}),
}  # fmt: skip


# What an answer that is to be continued begins with, and the mode in which each preset goes on.
ANSWER = ["answer", "text", "prose"]
PREFILLED = {
    "words": ("Sure, here", ANSWER),
    "an open fence": ("Here:\n```python\nx = (", ["answer", "text", "fence"]),
    "a closed fence": ("Here:\n```python\nx\n```\nNow", ANSWER),
}  # fmt: skip


@cache
def switching_of(name: str, model: str) -> Switching:
    """The modes and rules of a shipped preset for a model."""
    switching = Switching.of(Catalogue.load(environment=False).for_model(model)[name])
    assert switching is not None
    return switching


def first_modes(prompt: list[int], known: TokenBytes, model: str) -> list[str]:
    """The mode in which a text after the prompt begins, by each of the `PRESETS`."""
    found = []
    for name in PRESETS:
        switching = switching_of(name, model)
        tracer = Tracer(mode_automaton(switching, known))
        tracer.read_prompt(prompt)
        found.append(switching.modes[tracer.mode])
    return found


def of_litellm(name: str) -> Path:
    """A tokenizer's file that LiteLLM brings."""
    folders = (Path(sys.prefix) / "clients").glob(TOKENIZERS)
    file = next((folder / name for folder in folders), None)
    if file is None:
        pytest.skip("LiteLLM isn't installed in .venv/clients (scripts/setup does)")
    return file


@pytest.fixture(scope="module")
def deepseek() -> Any:
    """The tokenizer that LiteLLM brings."""
    return PreTrainedTokenizerFast(tokenizer_file=str(of_litellm(DEEPSEEK)))


@pytest.fixture(scope="module")
def harmony() -> TokenBytes:
    """The vocabulary: o200k, and Harmony's marks."""
    lines = of_litellm(O200K).read_bytes().splitlines()
    tokens = [base64.b64decode(line.split()[0]) for line in lines]
    names = [f"<|{mark}|>" for mark in HARMONY]
    ids = {name: get_encoding().encode(name, allowed_special="all")[0] for name in names}
    tokens += [b""] * (max(ids.values()) + 1 - len(tokens))
    special = tuple((number, name.encode()) for name, number in ids.items())
    return TokenBytes(tuple(tokens), (), special, tuple(ids.items()))


@pytest.fixture(scope="module", params=["instruct_tokenizer_241114.model.v7", "tekken_240911"])
def mistral(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer that the package brings, in vLLM's wrapper."""
    data, folder = Path(mistral_common.__file__).parent / "data", tmp_path_factory.mktemp("m")
    [file] = data.glob(f"*{request.param}*[0-9n]")
    name = "tekken.json" if "tekken" in file.name else f"tokenizer.model{file.suffix}"
    shutil.copy(file, folder / name)
    return MistralTokenizer.from_pretrained(str(folder))


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

    assert ["think" if thinks else "answer", "text", "prose"] == first_modes(
        prompt, TokenBytes.of(deepseek), "deepseek-ai/DeepSeek-V3.2"
    )


@pytest.mark.parametrize("last", PREFILLED)
@pytest.mark.parametrize("thinks", [True, False], ids=["thinking", "not thinking"])
@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("encoder", ENCODERS, ids=["V3.2", "V4", "V4.1"])
def test_a_message_to_continue_is_closed(
    deepseek: Any, encoder: Callable[[Any], Any], conversation: Any, thinks: bool, last: str
) -> None:
    """The encoders end such a message, or refuse it, so that what it leaves open doesn't count."""
    messages, arguments = conversation
    chat = [*map(dict, messages), {"role": "assistant", "content": PREFILLED[last][0]}]
    arguments = {**arguments, "continue_final_message": True, "add_generation_prompt": False}
    tokenizer = encoder(deepseek)
    if thinks and encoder is get_deepseek_v32_tokenizer:
        with pytest.raises(ValueError, match="without reasoning"):
            tokenizer.apply_chat_template(chat, tokenize=True, thinking=thinks, **arguments)
        return
    prompt = tokenizer.apply_chat_template(chat, tokenize=True, thinking=thinks, **arguments)

    assert ANSWER == first_modes(prompt, TokenBytes.of(deepseek), "deepseek-ai/DeepSeek-V3.2")


class TestHarmony:
    """vLLM's encoder for gpt-oss."""

    @pytest.mark.parametrize("effort", ["low", "high"])
    @pytest.mark.parametrize("last", [None, *PREFILLED])
    @pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
    def test_a_text_begins_in_the_mode_of_its_own_turn(
        self, harmony: TokenBytes, conversation: Any, last: str | None, effort: str
    ) -> None:
        """The turn that the encoder opens has no channel yet, with a message to continue too.

        vLLM closes such a message, and the model writes a new one.
        """
        messages, arguments = conversation
        instructions = next((m["content"] for m in messages if m["role"] == "system"), None)
        tools = [ChatCompletionToolsParam(**tool) for tool in arguments.get("tools", ())]
        preamble = build_harmony_preamble(
            instructions=instructions, tools=tools, reasoning_effort=effort
        )
        chat = [dict(message) for message in messages if message["role"] != "system"]
        if last:
            chat.append({"role": "assistant", "content": PREFILLED[last][0]})
        prompt = render_for_completion([*preamble, *parse_chat_inputs_to_harmony_messages(chat)])

        assert ANSWER == first_modes(prompt, harmony, "openai/gpt-oss-20b")


class TestMistral:
    """mistral-common's encoders."""

    @pytest.mark.parametrize("last", [None, *PREFILLED])
    @pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
    def test_a_text_begins_in_the_mode_of_its_own_turn(
        self, mistral: Any, conversation: Any, last: str | None
    ) -> None:
        """A message to continue stays open, and its fence counts."""
        messages, arguments = conversation
        chat = [
            {name: value for name, value in message.items() if not name.startswith("reasoning")}
            for message in messages
        ]
        if last:
            chat.append({"role": "assistant", "content": PREFILLED[last][0], "prefix": True})
        request: Any = ChatCompletionRequest.model_validate({"messages": chat, **arguments})
        prompt = mistral.mistral.encode_chat_completion(request).tokens
        expected = PREFILLED[last][1] if last else ANSWER

        assert expected == first_modes(
            prompt, TokenBytes.of(mistral), "mistralai/Mistral-Small-3.2-24B-Instruct-2506"
        )
