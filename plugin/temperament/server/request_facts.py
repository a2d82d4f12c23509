"""What a request is, read from its body alone, for presets that pick by that.

Only what the body states counts: tools that are offered, a format that is asked for, thinking that
is switched on. A body that states nothing has no flags, whatever its model does by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from temperament.presets.picking import MAX_READ, RequestFacts
from temperament.server.request_thinking import asks_to_think, text_of

FENCE = "```"
_SYSTEM = ("system", "developer")


def facts_of(body: Mapping[str, Any]) -> RequestFacts:
    """Returns what a request for any of the endpoints is.

    Whatever the body's fields are, nothing is raised: vLLM refuses what isn't valid.
    """
    evidence = {
        "tools": _tools(body),
        "format": _format(body),
        "thinking": asks_to_think(body),
    }
    talks = list(_conversations(body))
    if talks and all(_open_fence(talk[-1][1]) for talk in talks if talk) and all(talks):
        evidence["open_fence"] = "the prompt ends inside a fence"
    shared = text_of(body.get("system")) or text_of(body.get("instructions"))
    systems = [shared or _system(talk) for talk in talks]
    lasts = [talk[-1][1] for talk in talks if talk]
    texts = {
        "system": tuple(systems) if systems and all(systems) else (),
        "last_message": tuple(lasts) if len(lasts) == len(talks) else (),
    }
    return RequestFacts({flag: text for flag, text in evidence.items() if text}, texts)


def _tools(body: Mapping[str, Any]) -> str:
    tools, choice = body.get("tools"), body.get("tool_choice")
    if _entry(choice, "type") == "none" or choice == "none":
        return ""
    return f"{len(tools)} tools offered" if isinstance(tools, list) and tools else ""


def _format(body: Mapping[str, Any]) -> str:
    outputs = body.get("structured_outputs")
    if isinstance(outputs, Mapping):
        for name in ("json", "regex", "choice", "grammar", "json_object", "structural_tag"):
            if outputs.get(name):
                return f"structured_outputs.{name}"
    for path, asked in (
        ("response_format", body.get("response_format")),
        ("text.format", _entry(body.get("text"), "format")),
        ("output_config.format", _entry(body.get("output_config"), "format")),
    ):
        kind = _entry(asked, "type")
        if isinstance(kind, str) and kind != "text":
            return f"{path} is {kind}"
    return ""


def _conversations(body: Mapping[str, Any]) -> Iterator[list[tuple[str, str]]]:
    """Yields each conversation of a request: the role and the text of each message."""
    messages, prompt, entries = body.get("messages"), body.get("prompt"), body.get("input")
    if isinstance(messages, list):
        several = bool(messages) and all(isinstance(one, list) for one in messages)
        yield from map(_messages, messages if several else [messages])
    elif isinstance(entries, list):
        yield _messages(entries)
    elif isinstance(entries, str):
        yield [("user", entries)]
    elif isinstance(prompt, str):
        yield [("user", prompt)]
    elif isinstance(prompt, list) and prompt and all(isinstance(one, str) for one in prompt):
        yield from ([("user", one)] for one in prompt)


def _messages(messages: list[Any]) -> list[tuple[str, str]]:
    return [
        (str(_entry(message, "role") or ""), text_of(_entry(message, "content")))
        for message in messages
        if isinstance(message, Mapping) and "role" in message
    ]


def _system(talk: list[tuple[str, str]]) -> str:
    return "\n".join(text for role, text in talk if role in _SYSTEM)


def _open_fence(text: str) -> bool:
    """Whether a text ends inside a fence; its last `MAX_READ` characters are read."""
    lines = text[-MAX_READ:].splitlines()
    return sum(line.lstrip(" \t").startswith(FENCE) for line in lines) % 2 == 1


def _entry(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
