"""What a request says about thinking, as vLLM passes it on to the chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from temperament.presets.thinking import ThinkingSwitch

NO_EFFORT = "none"  # with this effort vLLM switches thinking off


@dataclass(frozen=True, slots=True)
class RequestThinking:
    """Reads from requests whether a model thinks before it answers."""

    switch: ThinkingSwitch
    # the server's `--default-chat-template-kwargs`
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def thinks(self, body: Mapping[str, Any]) -> bool | None:
        """Returns whether the model thinks, None if the request leaves it to the family's default.

        Values of a wrong type, which vLLM refuses, say nothing.
        """
        if not any(name in body for name in ("messages", "input")):
            return None  # a prompt without a chat template
        arguments = {**self.defaults, **_arguments(body)}
        return self.switch.thinks(arguments, *_prompt(body))


def _arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments that a request gives to the chat template.

    As in vLLM, an effort is an argument too, and sets `enable_thinking` where the request doesn't.
    """
    own = body.get("chat_template_kwargs")
    arguments = dict(own) if isinstance(own, Mapping) else {}
    effort = _effort(body)
    if effort is not None:
        arguments.setdefault("enable_thinking", effort != NO_EFFORT)
        arguments["reasoning_effort"] = effort
    return arguments


def _effort(body: Mapping[str, Any]) -> str | None:
    """Returns the effort that a request asks for, in the fields of any endpoint."""
    thinking, output = _map(body, "thinking"), _map(body, "output_config")
    if thinking.get("type") == "disabled":  # /v1/messages; "enabled" switches nothing in vLLM
        return NO_EFFORT
    for effort in (
        output.get("effort"),  # /v1/messages
        _map(body, "reasoning").get("effort"),  # /v1/responses
        body.get("reasoning_effort"),
    ):
        if isinstance(effort, str):
            return effort
    return None


def _prompt(body: Mapping[str, Any]) -> tuple[list[str], str]:
    """Returns the texts of the system prompt, and the last message of the user."""
    system = [_text(body.get(name)) for name in ("system", "instructions")]
    messages = body.get("messages") or body.get("input")
    if isinstance(messages, str):
        return system, messages
    turns = messages if isinstance(messages, list) else []
    turns = [turn for turn in turns if isinstance(turn, Mapping)]
    system += (_text(t.get("content")) for t in turns if t.get("role") in ("system", "developer"))
    users = [turn for turn in turns if turn.get("role") == "user"]
    return system, _text(users[-1].get("content")) if users else ""


def _text(content: Any) -> str:
    """Returns the text of a message: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _map(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}
