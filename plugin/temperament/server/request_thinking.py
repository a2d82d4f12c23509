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
    asked = body.get("chat_template_kwargs")
    arguments = dict(asked) if isinstance(asked, Mapping) else {}
    _, effort = _effort(body)
    if effort:
        arguments.setdefault("enable_thinking", effort != NO_EFFORT)
        arguments["reasoning_effort"] = effort
    return arguments


def asks_to_think(body: Mapping[str, Any]) -> str:
    """Returns which field of a request asks for thinking, "" if none does or one switches it off.

    `thinking: {type: enabled}` of /v1/messages counts: it asks for thinking, though vLLM then sets
    no more than a budget, and whether the model thinks is left to the family's default.
    """
    template = _map(body, "chat_template_kwargs")
    for name in ("enable_thinking", "thinking"):
        if isinstance(template.get(name), bool):
            return f"chat_template_kwargs.{name}" if template[name] else ""
    path, effort = "chat_template_kwargs.reasoning_effort", template.get("reasoning_effort")
    if not isinstance(effort, str):
        path, effort = _effort(body)
    if effort:
        return f"{path} is {effort}" if effort != NO_EFFORT else ""
    kind = _map(body, "thinking").get("type")
    return f"thinking is {kind}" if kind in ("enabled", "adaptive") else ""


def _effort(body: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the field in which a request of any endpoint names an effort, and the effort."""
    if _map(body, "thinking").get("type") == "disabled":  # /v1/messages
        return "thinking", NO_EFFORT
    for path, effort in (
        ("output_config.effort", _map(body, "output_config").get("effort")),  # /v1/messages
        ("reasoning.effort", _map(body, "reasoning").get("effort")),  # /v1/responses
        ("reasoning_effort", body.get("reasoning_effort")),
    ):
        if isinstance(effort, str):
            return path, effort
    return "", ""


def _prompt(body: Mapping[str, Any]) -> tuple[list[str], str]:
    """Returns the texts of the system prompt, and the last message of the user."""
    system = [text_of(body.get(name)) for name in ("system", "instructions")]
    messages = body.get("messages") or body.get("input")
    if isinstance(messages, str):
        return system, messages
    turns = messages if isinstance(messages, list) else []
    turns = [turn for turn in turns if isinstance(turn, Mapping)]
    system += (text_of(t.get("content")) for t in turns if t.get("role") in ("system", "developer"))
    users = [turn for turn in turns if turn.get("role") == "user"]
    return system, text_of(users[-1].get("content")) if users else ""


def text_of(content: Any) -> str:
    """Returns the text of a message: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _map(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}
