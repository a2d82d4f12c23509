"""Presets in Transformers' continuous batching: one for each request of a manager.

::

    manager = model.init_continuous_batching(generation_config=GenerationConfig(do_sample=True),
                                             continuous_batching_config=config)
    presets = temperament.transformers.attach(manager, tokenizer)
    manager.start()
    manager.add_request(ids, preset="creative")
    manager.add_request(ids, **presets.request_kwargs("code", seed=7))

A captured graph runs no Python again, and an asynchronous manager prepares a step before it knows
the last token: `attach` refuses both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from temperament.batch.request import check_tokenizer
from temperament.batch.rows import Rows
from temperament.engines.transformers.arguments import (
    NEUTRAL,
    OVERRIDABLE,
    config_defaults,
    for_model,
    seed_problem,
    vocabulary_size,
)
from temperament.engines.transformers.batched_rows import BatchedRows, Chosen, Counts
from temperament.errors import EngineError, Problem, shown
from temperament.plan.documented import refusals
from temperament.plan.targets.transformers import TRANSFORMERS_BATCHING
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Presets, as_presets
from temperament.presets.resolve import OnePreset, parse_fields, resolve
from temperament.presets.token_ids import check_tokens

WHERE = "ContinuousBatchingManager"
# Fields that only `add_request` can pass on.
_ARGUMENTS = ("max_tokens", "eos_token_id")
# What Transformers' own processors take for each request, if the manager has them.
_FIELDS = ("temperature", "top_k", "top_p")
# Transformers' processors of these fields. In a row with a preset, the preset applies the fields'
# values, and what the processors did is undone.
_WARPERS = ("TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper")


class Attached:
    """The presets of a manager's requests; `attach` returns it."""

    def __init__(
        self,
        model: Any,
        config: Any,
        tokenizer: Any,
        thinking: bool | None,
        catalogue: Catalogue | None,
    ) -> None:
        catalogue = Catalogue.load() if catalogue is None else catalogue
        self._catalogue = for_model(catalogue, model, thinking)
        self._model = model
        self._tokenizer = tokenizer
        self._below = config_defaults(config)
        # what ends a request's text, unless `add_request` says otherwise
        self._ends: Any = getattr(config, "eos_token_id", None)
        self._size = vocabulary_size(model)
        self._counts = Counts()

    @property
    def fallbacks(self) -> dict[str, int]:
        """How many requests went on without their preset after an internal error, by stage.

        `batch` counts the errors of no stage, and steps of a whole batch without its presets.
        """
        return dict(self._counts.fallbacks)

    def request_kwargs(self, preset: OnePreset, *, seed: int | None = None) -> dict[str, Any]:
        """Returns everything that a preset sets, as arguments for `manager.add_request(ids, ...)`.

        `seed` fixes the noise of stages that draw random numbers; -1 is no seed.

        Raises `PresetError` for an unknown preset or a wrong value, and `EngineError` for a field
        that a manager doesn't have for one request.
        """
        chosen = self._resolve(preset, seed)
        fields = TRANSFORMERS_BATCHING.generation_fields(
            {name: value for name, value in chosen.preset.generation.items() if name in _ARGUMENTS}
        )
        return {"preset": chosen, **fields}

    def join(self, manager: Any) -> None:
        """Adds the presets to a manager. Raises `EngineError` with every reason against it."""
        _check_manager(manager)
        from temperament.engines.transformers.batched_processor import BatchedPresets, Before

        processors = manager.logit_processor
        chain = processors.logits_processor
        warpers = [number for number, each in enumerate(chain) if _is_warper(each)]
        before = Before() if warpers else None
        checks: dict[str, Callable[[Any], bool]] = {"preset": self._check}
        for name in _FIELDS:
            if (kind := processors.supported_keys.get(name)) is not None:
                checks[name] = partial(_check_field, name, kind)
        added = BatchedPresets(
            checks, lambda: self._rows_of(manager), before, self._counts.fallback
        )
        chain.insert(warpers[-1] + 1 if warpers else len(chain), added)
        if before is not None:
            chain.insert(warpers[0], before)
        processors.tensors_required += 1
        processors.do_processing = True
        processors._retrieve_processors_kwargs()

    def _check(self, value: Any) -> bool:
        """Returns true; raises for a `preset=` of `add_request` that can't run.

        `add_request` alone knows the number of tokens and those that end the text.
        """
        if isinstance(value, Chosen):
            return True
        generation = self._resolve(value, None).preset.generation
        problems = [
            Problem(
                WHERE,
                name,
                "is an argument of add_request",
                shown(generation[name]),
                "add_request(ids, **attached.request_kwargs(preset))",
            )
            for name in _ARGUMENTS
            if generation.get(name) is not None
        ]
        if problems:
            raise EngineError(problems)
        return True

    def _choose(self, arguments: Mapping[str, Any]) -> Chosen:
        """Returns the preset of a request, under the request's own values, from its arguments."""
        value = arguments["preset"]
        chosen = value if isinstance(value, Chosen) else self._resolve(value, None)
        fields = {name: arguments[name] for name in _FIELDS if arguments.get(name) is not None}
        if not fields:
            return chosen
        preset = resolve(chosen.preset, self._catalogue, fields=fields, where=WHERE)
        return replace(chosen, preset=preset)

    def _rows_of(self, manager: Any) -> BatchedRows:
        """Returns the rows of a manager's requests, once it knows the size of its batches."""
        size, tokenizer = self._size, self._tokenizer
        vocabulary = None
        if tokenizer is not None and size is not None:
            vocabulary = partial(TokenBytes.of, tokenizer, size)
        slots = manager.continuous_batching_config.max_requests_per_batch

        def lives(name: str) -> bool:
            scheduler = manager.batch_processor.scheduler
            return name in scheduler.active_requests or name in scheduler.waiting_requests

        build = partial(Rows, slots, self._model.device, vocabulary)
        return BatchedRows(build, slots, self._choose, lives, self._counts)

    def _resolve(self, preset: Any, seed: int | None) -> Chosen:
        (resolved,), _ = as_presets([preset], self._catalogue, model_values=self._below)
        if self._size is not None:
            check_tokens(resolved, self._size)
        check_tokenizer([resolved], self._tokenizer, self._ends)
        problems = refusals(resolved.generation, TRANSFORMERS_BATCHING, WHERE)
        seeds = seed_problem([resolved], "reproducible: true")
        problems += [] if seeds is None else [seeds]
        if problems:
            raise EngineError(dict.fromkeys(problems))
        return Chosen(resolved, seed)


def attach(
    manager: Any,
    tokenizer: Any = None,
    *,
    thinking: bool | None = None,
    catalogue: Catalogue | None = None,
) -> Attached:
    """Lets each request of a `ContinuousBatchingManager` have a preset.

    The manager must not have started. From then on `manager.add_request(ids, preset=...)` takes a
    preset's name or its values; `request_kwargs` of the returned object also passes on how long the
    text may be, and a seed. The request's own `temperature`, `top_k` and `top_p`, where the manager
    takes them, are the layer above its preset. Requests without a preset are as before. The
    sampling values of the manager's `GenerationConfig` are the lowest layer of every preset.
    `tokenizer` is needed by stages and modes that match texts; `thinking` is that of
    `generate_kwargs`.

    While a manager runs, the model is its thread's alone: Transformers writes `is_causal` into the
    model's configuration during each step, so a `generate` in another thread can lose its mask.

    Raises `EngineError`, with every reason, for a manager that can't run presets: one that has
    started or is warmed up, that captures or compiles its steps, works asynchronously, is spread
    over processes, or doesn't draw (`do_sample`). A preset that can't run fails its request: the
    error is in the `error` of its output.
    """
    _check_manager(manager)
    attached = Attached(manager.model, manager.generation_config, tokenizer, thinking, catalogue)
    attached.join(manager)
    return attached


def generate_batch(
    model: Any,
    inputs: Sequence[Sequence[int]],
    presets: Presets,
    tokenizer: Any = None,
    *,
    seeds: Sequence[int] | None = None,
    max_new_tokens: int | None = None,
    generation_config: Any = None,
    continuous_batching_config: Any = None,
    thinking: bool | None = None,
    catalogue: Catalogue | None = None,
) -> list[Any]:
    """Returns what `model.generate_batch` does, with a preset for each prompt.

    `inputs` are the prompts' token ids. `presets` is one preset for all prompts, or one for each;
    `seeds` has an integer for each. `max_new_tokens` holds for presets without `max_tokens`. The
    result has a `GenerationOutput` for each prompt, in order, or `num_return_sequences` of them;
    the `error` of one that failed says why.

    Raises what `generate_kwargs` and `attach` raise, and `EngineError` if the manager ended early.
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig

    base = model.generation_config if generation_config is None else generation_config
    attached = Attached(model, base, tokenizer, thinking, catalogue)
    single = isinstance(presets, str) or not isinstance(presets, Sequence)
    each: list[Any] = [presets] * len(inputs) if single else [*cast(Sequence[Any], presets)]
    problems = [
        Problem("generate_batch", name, "one for each prompt", f"{count} for {len(inputs)} prompts")
        for name, count in (("presets", len(each)), ("seeds", len(seeds or inputs)))
        if count != len(inputs)
    ]
    if problems:
        raise EngineError(problems)
    requests = [
        {
            "max_new_tokens": max_new_tokens,
            **attached.request_kwargs(preset, seed=None if seeds is None else seeds[number]),
        }
        for number, preset in enumerate(each)
    ]
    config = GenerationConfig.from_dict(base.to_dict())
    config.update(**{**NEUTRAL, **OVERRIDABLE, "do_sample": True})
    batching = copy.deepcopy(continuous_batching_config or ContinuousBatchingConfig())
    for name in ("use_cuda_graph", "use_async_batching"):
        if getattr(batching, name) is None:
            setattr(batching, name, False)
    attention = model.config._attn_implementation
    manager = model.init_continuous_batching(config, batching)
    try:
        attached.join(manager)
        manager.start()
        ids = [
            manager.add_request(list(prompt), **request)
            for prompt, request in zip(inputs, requests, strict=True)
        ]
        samples = range(manager.num_return_sequences - 1)
        names = [name for one in ids for name in (one, *(f"{one}__child#{i}" for i in samples))]
        done = _results(manager, len(names))
    finally:
        manager.stop(block=True)
        manager.destroy()
        if model.config._attn_implementation != attention:  # of a manager that didn't start
            model.set_attn_implementation(attention)
    return [done[name] for name in names]


def _results(manager: Any, count: int) -> dict[str, Any]:
    """Returns `count` finished outputs of a manager by their ids."""
    done: dict[str, Any] = {}
    while len(done) < count:
        output = manager.get_result(timeout=1)
        if output is not None and output.is_finished():
            done[output.request_id] = output
        elif output is None and not manager.is_running():
            error = manager.background_thread_status.fatal_error
            raise EngineError(Problem(WHERE, "", f"ended early: {error}")) from error
    return done


def _check_field(name: str, kind: type, value: Any) -> bool:
    """Returns whether a request's value has its type. Raises `PresetError` for a wrong one."""
    if not isinstance(value, kind):
        return False
    parse_fields({name: value}, WHERE)
    return True


def _is_warper(processor: Any) -> bool:
    return type(processor).__name__.endswith(_WARPERS)


def _check_manager(manager: Any) -> None:
    problems = [Problem(WHERE, *why) for why in _unfit(manager)]
    if problems:
        raise EngineError(problems)


def _unfit(manager: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yields why a manager can't run presets: the field, the reason, what it has, what it may."""
    chain = getattr(getattr(manager, "logit_processor", None), "logits_processor", None)
    if chain is None or not hasattr(manager, "continuous_batching_config"):
        kind = type(manager).__name__
        yield "", "is not a ContinuousBatchingManager of Transformers 5", kind, ""
        return
    if manager.is_running() or manager.batch_processor is not None:
        yield "", "has started or is warmed up", "", "attach before start() and warmup()"
    if any("preset" in getattr(each, "supported_kwargs", ()) for each in chain):
        yield "", "takes presets already", "", "attach once"
    for each in chain:
        if not hasattr(each, "supported_kwargs") and not each.supports_continuous_batching:
            allowed = "its field in a preset, not in the manager's GenerationConfig"
            yield (
                "",
                "has a processor that needs each request's tokens",
                type(each).__name__,
                allowed,
            )
    config = manager.continuous_batching_config
    compiled = "a compiled step runs no Python"
    for field, set_, message in (
        ("use_cuda_graph", any(config.cuda_graph_booleans), "a captured graph runs no Python"),
        ("use_async_batching", config.use_async_batching, "a step comes before its last token"),
        ("varlen_compile_config", config.varlen_compile_config is not None, compiled),
        ("decode_compile_config", config.decode_compile_config is not None, compiled),
    ):
        if set_:
            allowed = f"ContinuousBatchingConfig({field}=False)"
            if message is compiled:
                allowed = "ContinuousBatchingConfig(default_compile_level=0)"
            yield field, message, shown(getattr(config, field)), allowed
    if getattr(manager.model, "_device_mesh", None) is not None:
        yield "", "is spread over processes, which would draw different random numbers", "", ""
    do_sample = getattr(manager.generation_config, "do_sample", None)
    if not do_sample:
        allowed = "GenerationConfig(do_sample=True); a preset with temperature 0 is greedy"
        yield "do_sample", "the manager takes the largest logit", shown(do_sample), allowed
