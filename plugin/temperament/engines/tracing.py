"""A text drawn with Transformers, and the mode that each of its tokens was drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from temperament.engines.transformers import PresetLogitsProcessor, generate_kwargs
from temperament.errors import EngineError, Problem, RequestError
from temperament.plan.automata.modes import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` <= i < `end` of the output, drawn in one mode."""

    mode: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class SwitchPoint:
    """Where the mode changed: the first token of the new one; `on` is the trigger."""

    token: int
    source: str
    target: str
    on: str


@dataclass(frozen=True, slots=True)
class Traced:
    """A text by its modes."""

    spans: tuple[Span, ...]
    switches: tuple[SwitchPoint, ...]


class _Recorder(LogitsProcessor):
    """Notes the mode of every step."""

    def __init__(self, inner: PresetLogitsProcessor) -> None:
        self.inner = inner
        self.drawn_in: list[int] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The inner processor's scores."""
        done = self.inner(input_ids, scores)
        self.drawn_in.append(self.inner.modes[0])
        return done


def tokenizer_at(path: str) -> Any:
    """The tokenizer of a folder. Raises `EngineError` if there is none."""
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=Path(path).exists())
    except (OSError, ValueError) as error:
        raise EngineError(Problem("model", "", f"has no tokenizer: {error}", path)) from error


def trace(
    preset: Preset, path: str, prompt: str, *, max_tokens: int, seed: int, raw: bool = False
) -> Traced:
    """Draws a text with the model at `path` and follows its modes.

    `prompt` goes through the tokenizer's chat template if it has one, unless `raw`. Raises
    `RequestError` for a preset without modes, `EngineError` for what can't be loaded.
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
    given = torch.tensor([ids])
    made = model.generate(
        given,
        attention_mask=torch.ones_like(given),
        logits_processor=LogitsProcessorList([recorder]),
        **kwargs,
    )
    return _traced(switching, tokenizer, ids, made[0, len(ids) :].tolist(), recorder.drawn_in)


def _traced(
    switching: Switching, tokenizer: Any, prompt: list[int], output: list[int], modes: Sequence[int]
) -> Traced:
    follower = Tracer(mode_automaton(switching, TokenBytes.of(tokenizer)))
    follower.read_prompt(prompt)
    begun = len(follower.switches)
    follower.read(output)
    known = {} if switching.uses_entropy else {s.token: s for s in follower.switches[begun:]}
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
