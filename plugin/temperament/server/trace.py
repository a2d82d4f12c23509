"""The modes that an answer went through, added to the answer: `"preset_trace": true`.

The modes follow from the answer's tokens, so the engine needs no change: the request asks vLLM for
the token ids, and the automaton reads them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from temperament.errors import Problem, shown
from temperament.plan.automata.mode_automaton import ModeAutomaton, Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer, spans
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset
from temperament.server.answer import Change
from temperament.server.endpoints import Endpoint

FIELD = "preset_trace"
IDS = "return_token_ids"


@dataclass(frozen=True)
class Trace:
    """What tracing an answer needs."""

    automaton: ModeAutomaton
    vocabulary: TokenBytes
    # whether the client asked for the token ids itself, so that they stay in the answer
    keeps_ids: bool

    @classmethod
    def of(cls, preset: Preset, vocabulary: TokenBytes, *, keeps_ids: bool) -> Trace:
        """Returns the trace of a preset with modes."""
        switching = Switching.of(preset)
        assert switching is not None
        return cls(mode_automaton(switching, vocabulary), vocabulary, keeps_ids)


def problems(
    body: Mapping[str, Any], preset: Preset, endpoint: Endpoint, *, tokens_known: bool
) -> Iterator[Problem]:
    """Yields why the trace that a body asks for isn't available.

    `tokens_known` is whether the bytes of the model's tokens are known.
    """
    asked, switching, message = body.get(FIELD), Switching.of(preset), ""
    if asked is None or asked is False:
        return
    if asked is not True:
        message = "not allowed"
    elif switching is None:
        message = "the preset has no modes"
    elif switching.uses_entropy:
        message = "the preset switches on entropy, which the tokens don't show"
    elif not (tokens_known and endpoint.returns_ids):
        message = f"not available on {endpoint.target.name}, which returns no token ids"
    elif body.get("include_reasoning") is False:
        message = "include_reasoning: false hides the tokens"
    if message:
        yield Problem(
            "request", FIELD, message, shown(asked), "true, or false", reason="unsupported"
        )


@dataclass
class _Text:
    prompt: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)


def report(trace: Trace, prompt: list[int], output: list[int]) -> dict[str, Any]:
    """Returns the spans of an output by mode, and its switches, as JSON."""
    text = Tracer(trace.automaton)
    text.read_prompt(prompt)
    text.read(output)
    names, rules = trace.automaton.switching.modes, trace.automaton.switching.rules
    spelled = trace.vocabulary.spelled

    def text_of(first: int, end: int) -> str:
        known = (spelled[token] for token in output[first:end] if token < len(spelled))
        return b"".join(known).decode("utf-8", "replace")

    return {
        "spans": [
            {"mode": mode, "start": first, "end": end, "text": text_of(first, end)}
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


def add_trace(trace: Trace) -> Change:
    """Returns a change that adds the trace to every choice (in a stream, to its last chunk)."""
    return _TraceWriter(trace).change


class _TraceWriter:
    """The texts of one answer."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._texts: dict[int, _Text] = {}
        # the token ids of a chat's prompt; an answer has them once, not in each choice
        self._prompt: list[int] = []

    def change(self, answer: dict[str, Any]) -> None:
        """Changes one object of the answer."""
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
