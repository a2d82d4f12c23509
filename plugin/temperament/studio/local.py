"""Local weights: a model in a Transformers folder, and the studio's decoding loop on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from temperament.batch.process import Run
from temperament.errors import EngineError, Problem, shown
from temperament.plan.documented import BY_FIELD
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset
from temperament.presets.resolve import merge
from temperament.studio.inspection import refuse_unbound
from temperament.studio.model_source import Drawn, Logits
from temperament.studio.readable_tokens import Writer, readable

# The generation fields that the decoding loop acts on; the caller sets the limit and the seed.
_SUPPORTED = frozenset({"do_sample", "eos_token_id", "max_tokens", "seed", "stop"})


class LocalModel:
    """A causal language model and its tokenizer; `defaults` is the layer under every preset."""

    def __init__(self, name: str, model: Any, tokenizer: Any, defaults: Preset) -> None:
        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.defaults = defaults
        end = model.generation_config.eos_token_id
        self._ends = frozenset([end] if isinstance(end, int) else end or ())
        if not self._ends and tokenizer.eos_token_id is not None:
            self._ends = frozenset([tokenizer.eos_token_id])

    async def encode(self, prompt: str, *, chat: bool = False) -> list[int]:
        """See `Source`. Raises `EngineError` for a chat if the model has no chat template."""
        if not chat:
            ids = list(self.tokenizer(prompt).input_ids)
        elif self.tokenizer.chat_template is None:
            raise EngineError(
                Problem("prompt", "chat", f"{self.name} has no chat template", allowed="a text")
            )
        else:
            messages = [{"role": "user", "content": prompt}]
            text = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            ids = list(self.tokenizer(text, add_special_tokens=False).input_ids)
        if not ids:
            raise EngineError(Problem("prompt", "", "has no tokens", shown(prompt), "some text"))
        return ids

    async def logits(self, ids: Sequence[int]) -> Logits:
        """See `Source`."""
        return await asyncio.to_thread(self._logits, ids)

    async def texts(self, ids: Sequence[int]) -> list[str]:
        """See `Source`."""
        return token_texts(self.tokenizer, ids)

    async def generate(
        self, ids: Sequence[int], preset: Preset, *, seed: int, max_tokens: int
    ) -> AsyncIterator[Drawn]:
        """See `Source`. The text ends after `max_tokens`, at an end token or at a stop text.

        Raises `PresetError` for an unbound preset and `EngineError`, with every field, for one that
        asks for more than this loop does.
        """
        refuse_unbound([preset])
        _refuse_unsupported(preset)
        ends = frozenset(preset.generation.get("eos_token_id", self._ends))
        layered = merge(preset, model_values=self.defaults)
        limited = {**layered.generation, "max_tokens": max_tokens}
        run = Run(
            replace(layered, generation=limited),
            prompt_ids=[ids],
            seeds=[seed],
            tokenizer=self.tokenizer,
        )
        generator = torch.Generator().manual_seed(seed % 2**63)
        cache: Any = None
        drawn: list[int] = []
        step = list(ids)
        writer, table = Writer(), TokenBytes.of(self.tokenizer).tokens
        stops = preset.generation.get("stop", ())
        while len(drawn) < max_tokens:
            logits, cache = await asyncio.to_thread(self._forward, step, cache)
            probabilities = run.run(logits[None]).softmax(-1)
            token = int(torch.multinomial(probabilities[0], 1, generator=generator))
            run.accept([token])
            drawn.append(token)
            surprise = float(logits.logsumexp(-1) - logits[token])
            text = writer.add(table[token]) if token < len(table) else ""
            yield Drawn(token, text, surprise)
            if token in ends:
                return
            if stops and any(stop in self.tokenizer.decode(drawn) for stop in stops):
                return
            step = [token]

    def _logits(self, ids: Sequence[int]) -> Logits:
        return Logits(self._forward(ids, None)[0])

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], cache: Any) -> tuple[torch.Tensor, Any]:
        """The last position's logits, [vocab] float32, and the cache for the next call."""
        output = self.model(
            input_ids=torch.tensor([list(ids)], device=self.model.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[0, -1].float().cpu(), output.past_key_values


def _refuse_unsupported(preset: Preset) -> None:
    """Raises `EngineError` for generation fields that the decoding loop doesn't act on."""
    problems = [
        Problem(preset.name, name, "the studio doesn't do it on local weights", shown(value))
        for name, value in preset.generation.items()
        if name not in _SUPPORTED and not (name in BY_FIELD and BY_FIELD[name].is_neutral(value))
    ]
    if problems:
        raise EngineError(problems)


def load(folder: str | Path) -> tuple[Any, Any]:
    """The model and the tokenizer of a Transformers folder, without any network access.

    Raises `EngineError` if the folder has no model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not Path(folder, "config.json").is_file():
        raise EngineError(
            Problem("--model", "", "not a model", shown(str(folder)), "a folder with config.json")
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.float().eval(), tokenizer


def token_texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Each token as a person can read it, a special token by its name."""
    table = TokenBytes.of(tokenizer).tokens
    names = tokenizer.convert_ids_to_tokens(list(ids))
    return [
        readable(table[token]) if token < len(table) and table[token] else name or f"<{token}>"
        for token, name in zip(ids, names, strict=True)
    ]
