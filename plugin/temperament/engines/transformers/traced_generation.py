"""A text generated with Transformers, divided by the modes in which its tokens were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from temperament.engines.transformers.arguments import generate_kwargs
from temperament.engines.transformers.logits_processor import PresetLogitsProcessor
from temperament.errors import EngineError, Problem, RequestError
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens from `start` to before `end` of the output: a stretch in one mode."""

    mode: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class SwitchPoint:
    """A change of mode; `token` is the first of the new mode, `on` the trigger, "" if unknown."""

    token: int
    source: str
    target: str
    on: str


@dataclass(frozen=True, slots=True)
class Traced:
    """A text as spans, and the switches between them."""

    spans: tuple[Span, ...]
    switches: tuple[SwitchPoint, ...]


class _Recorder(LogitsProcessor):
    """Runs a processor and records the mode of every step."""

    def __init__(self, inner: PresetLogitsProcessor) -> None:
        self.inner = inner
        self.drawn_in: list[int] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Returns the inner processor's scores."""
        changed = self.inner(input_ids, scores)
        self.drawn_in.append(self.inner.modes[0])
        return changed


def tokenizer_at(path: str) -> Any:
    """Returns the tokenizer of a folder or a model name. Raises `EngineError` if it has none."""
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=Path(path).exists())
    except (OSError, ValueError) as error:
        raise EngineError(Problem("model", "", f"has no tokenizer: {error}", path)) from error


def trace(
    preset: Preset, path: str, prompt: str, *, max_tokens: int, seed: int, raw: bool = False
) -> Traced:
    """Generates a text with the model at `path` and returns it by its modes.

    `prompt` goes through the tokenizer's chat template, unless it has none or `raw` is set. Raises
    `RequestError` for a preset without modes, `EngineError` if there is no tokenizer.
    """
    switching = Switching.of(preset)
    if switching is None:
        raise RequestError(Problem(preset.name, "modes", "the preset has none, so none to trace"))
    tokenizer = tokenizer_at(path)
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    messages = [{"role": "user", "content": prompt}]
    if raw or not tokenizer.chat_template:
        ids = tokenizer(prompt)["input_ids"]
    else:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    kwargs = generate_kwargs(preset, tokenizer, model=model, seeds=[seed])
    recorder = _Recorder(kwargs.pop("logits_processor")[0])
    torch.manual_seed(seed)
    kwargs = {"max_new_tokens": max_tokens, "pad_token_id": tokenizer.eos_token_id, **kwargs}
    inputs = torch.tensor([ids])
    output = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        logits_processor=LogitsProcessorList([recorder]),
        **kwargs,
    )
    return _traced(switching, tokenizer, ids, output[0, len(ids) :].tolist(), recorder.drawn_in)


def _traced(
    switching: Switching, tokenizer: Any, prompt: list[int], output: list[int], modes: Sequence[int]
) -> Traced:
    tracer = Tracer(mode_automaton(switching, TokenBytes.of(tokenizer)))
    tracer.read_prompt(prompt)
    in_prompt = len(tracer.switches)
    tracer.read(output)
    # The tracer doesn't know entropies, so with rules on them its switches may be wrong.
    known = {} if switching.uses_entropy else {s.token: s for s in tracer.switches[in_prompt:]}
    spans, switches = [], []
    start = 0
    for mode, group in groupby(modes[: len(output)]):
        end = start + len(list(group))
        name = switching.modes[mode]
        spans.append(Span(name, start, end, tokenizer.decode(output[start:end])))
        if start:
            switch = known.get(start)
            on = "" if switch is None else str(switching.rules[switch.rule].on)
            switches.append(SwitchPoint(start, spans[-2].mode, name, on))
        start = end
    return Traced(tuple(spans), tuple(switches))
