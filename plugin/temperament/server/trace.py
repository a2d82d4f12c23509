"""The modes that an answer went through, added to the answer: `"preset_trace": true`.

They follow from the answer's tokens, so the engine isn't asked: vLLM is told to return the token
ids, and they are followed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from temperament.plan.automata.modes import ModeAutomaton
from temperament.plan.automata.tracer import Tracer, spans
from temperament.plan.vocabulary import TokenBytes
from temperament.server.answer import Change

FIELD = "preset_trace"
IDS = "return_token_ids"


@dataclass(frozen=True)
class Trace:
    """What following an answer needs, and whether the client asked for the ids itself."""

    machine: ModeAutomaton
    vocabulary: TokenBytes
    keeps_ids: bool


@dataclass
class _Text:
    prompt: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)


def report(trace: Trace, prompt: list[int], output: list[int]) -> dict[str, Any]:
    """The spans of an output by mode, and its switches, as JSON."""
    text = Tracer(trace.machine)
    text.read_prompt(prompt)
    text.read(output)
    names, rules = trace.machine.switching.modes, trace.machine.switching.rules
    spelled = trace.vocabulary.spelled

    def written(first: int, end: int) -> str:
        known = (spelled[token] for token in output[first:end] if token < len(spelled))
        return b"".join(known).decode("utf-8", "replace")

    return {
        "spans": [
            {"mode": mode, "start": first, "end": end, "text": written(first, end)}
            for mode, first, end in spans(text)
        ],
        "switches": [
            {
                "token": switch.token,
                "from": names[switch.source],
                "to": names[switch.target],
                "on": str(rules[switch.rule].on),
            }
            for switch in text.switches
        ],
    }


def traced(trace: Trace) -> Change:
    """The change that puts the trace in every choice (in a stream, in its last chunk)."""
    return _Traced(trace).change


class _Traced:
    """The texts of one answer."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._texts: dict[int, _Text] = {}
        # that of a chat, where it stands once for all choices
        self._prompt: list[int] = []

    def change(self, answer: dict[str, Any]) -> None:
        """One object of the answer."""
        if not isinstance(answer.get("choices"), list):
            return
        self._prompt = answer.get("prompt_token_ids") or self._prompt
        for choice in answer["choices"]:
            self._add(choice)
        if not self._trace.keeps_ids:
            answer.pop("prompt_token_ids", None)

    def _add(self, choice: dict[str, Any]) -> None:
        text = self._texts.setdefault(choice.get("index", 0), _Text())
        text.prompt = choice.get("prompt_token_ids") or text.prompt or self._prompt
        text.output += choice.get("token_ids") or []
        if choice.get("finish_reason") is not None:
            choice[FIELD] = report(self._trace, text.prompt, text.output)
        if not self._trace.keeps_ids:
            choice.pop("prompt_token_ids", None)
            choice.pop("token_ids", None)
