"""Turns presets into arguments of `model.generate`.

One call of `generate` has one set of arguments, so the presets of its rows may differ only in their
stages. All stages run in the processor. Transformers runs its warpers after a user's processors and
adds a `top_k` of 50 by itself, so its sampling arguments are set to neutral values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList

from temperament.engines.transformers.encoder_source import (
    OF_THE_SOURCE,
    reads_the_source,
    set_in_modes,
    sources_of,
    without_the_source,
)
from temperament.engines.transformers.logits_processor import (
    PresetLogitsProcessor,
    names_with_state,
)
from temperament.errors import EngineError, Problem, shown
from temperament.plan.documented import refuse
from temperament.plan.targets.transformers import ASSISTANT_FIELDS, TRANSFORMERS
from temperament.presets import Catalogue, Preset, Presets, as_preset, as_presets
from temperament.presets.generation_fields import NO_SEED
from temperament.presets.model_facts import facts_of_config
from temperament.presets.resolve import merge
from temperament.presets.token_ids import check_tokens
from temperament.stages import PARAMETERS, STAGE_OF

WHERE = "generate"
# The stages among the fields of a GenerationConfig, neutral. The model's file may set them; its
# values are the lowest layer of the presets, and must not act a second time. `generate` refuses
# fields that its version doesn't know (4.57 has no top_h).
NEUTRAL: Mapping[str, Any] = {
    name: value for name, value in TRANSFORMERS.fields.items() if hasattr(GenerationConfig(), name)
}
# Further fields of a GenerationConfig that are stages. Transformers applies the model's values of
# them itself. If a preset sets one, it is neutral in the arguments, and the stage alone applies it.
OVERRIDABLE: Mapping[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "min_new_tokens": None,
    "no_repeat_ngram_size": 0,
    "sequence_bias": None,
    "suppress_tokens": None,
}
# `generate` takes a list as one value for each row, and a single number as the value of all rows.
_ONE_FOR_ALL = ("decoder_start_token_id",)
_NEED_TOKENIZER = ("stop", "token_healing")


def generate_kwargs(
    presets: Presets,
    tokenizer: Any = None,
    *,
    model: Any = None,
    thinking: bool | None = None,
    assistant_model: Any = None,
    seeds: Sequence[int] | None = None,
    inputs: Any = None,
    catalogue: Catalogue | None = None,
) -> dict[str, Any]:
    """Returns everything that presets set, as arguments for `model.generate(**inputs, ...)`.

    `presets` is one preset for all prompts, or a list of one for each prompt. `tokenizer` decides
    what is padding, and is needed for `stop`. With a `model`, its `generation_config.json` is the
    lowest layer and gives the tokens that end a text, as in vLLM, and presets may be relative to
    its vendor's recommendations. `thinking` is whether the chat template makes the model
    think before it answers, None for what its family does by default. Without a `model`,
    what the presets don't set is neutral. `seeds`, one for each prompt, fix the noise of stages
    that draw random numbers. `assistant_model` is passed on; the presets' fields for assisted
    generation are written into its `generation_config`, because Transformers reads them only there.
    `inputs` are those of this one call of `generate`, for models with an encoder: its token ids are
    what `encoder_repetition_penalty` and `encoder_no_repeat_ngram_size` read, in each row those of
    its preset. Without them, and with a `model`, Transformers' own processors do that, with the
    same values for all rows.

    Raises `PresetError` for an unknown preset or a wrong value. Raises `EngineError` for a field
    that `generate` doesn't have, that needs the tokenizer or an assistant, or in which the presets
    of one call differ; also for `seed`, unless every preset is `reproducible`, and for what reads
    the encoder's text if neither `model` nor `inputs` is given.
    """
    catalogue = Catalogue.load() if catalogue is None else catalogue
    if model is not None:
        catalogue = for_model(catalogue, model, thinking)
    resolved, _ = as_presets(presets, catalogue)
    neutral = {**NEUTRAL, **_overridden(resolved)}
    if model is not None:
        below = model_defaults(model, neutral)
        resolved = [merge(preset, model_values=below) for preset in resolved]
        size = vocabulary_size(model)
        if size is not None:
            for preset in resolved:
                check_tokens(preset, size)
    source: list[list[int]] | None = None
    of_the_source: dict[str, Any] = {}
    if model is None or getattr(model.config, "is_encoder_decoder", False):
        if inputs is not None:
            reads = any(map(reads_the_source, resolved))
            source = sources_of(inputs, getattr(tokenizer, "pad_token_id", None)) if reads else None
        elif model is None:
            _check_encoder_is_known(resolved)
        else:
            resolved, of_the_source = _encoder_fields(resolved)
    kwargs = of_the_source | generation_arguments(resolved, tokenizer, model, assistant_model)
    if not kwargs["do_sample"]:
        resolved = [_without_draw(preset) for preset in resolved]
        neutral |= _greedy(model)
    end = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    end = kwargs.get("eos_token_id", end)
    processor = PresetLogitsProcessor(
        resolved,
        tokenizer,
        seeds=seeds,
        ends=[end] if isinstance(end, int) else end,
        source=source,
    )
    return {"logits_processor": LogitsProcessorList([processor]), **neutral, **kwargs}


def for_model(catalogue: Catalogue, model: Any, thinking: bool | None) -> Catalogue:
    """Returns the catalogue whose presets are relative to a model's recommendations."""
    config = model.config
    return catalogue.for_model(facts_of_config(config._name_or_path, config.to_dict()), thinking)


def vocabulary_size(model: Any) -> int | None:
    """Returns the number of a model's token ids, None if its configuration doesn't say."""
    size: int | None = getattr(model.config.get_text_config(), "vocab_size", None)
    return size


def model_defaults(model: Any, names: Iterable[str] = (*NEUTRAL, *OVERRIDABLE)) -> Preset:
    """Returns the values of the stages in a model's `generation_config.json`, the lowest layer.

    `names` are the fields that are read.
    """
    return config_defaults(model.generation_config, names)


def config_defaults(config: Any, names: Iterable[str] = (*NEUTRAL, *OVERRIDABLE)) -> Preset:
    """Returns the values of the stages in a `GenerationConfig`."""
    values = {
        name: value
        for name in PARAMETERS
        if name in names and (value := getattr(config, name, None)) is not None
    }
    return as_preset(values, Catalogue({}))


def _overridden(presets: Sequence[Preset]) -> dict[str, Any]:
    """Returns the neutral values of the fields of `OVERRIDABLE` that one of the presets sets.

    A preset with `alone` sets all of them. The others stay with Transformers, which also knows the
    encoder's text and the limit of `generate`.
    """
    if any(preset.alone for preset in presets):
        return dict(OVERRIDABLE)
    layers = [values for p in presets for values in (p.values, *(mode.values for mode in p.modes))]
    named = {STAGE_OF[name].name for values in layers for name in values}
    return {name: value for name, value in OVERRIDABLE.items() if STAGE_OF[name].name in named}


def _greedy(model: Any) -> dict[str, Any]:
    """Returns what makes a model greedy beside `do_sample: false`.

    Whisper's `generate` has an argument `temperature`, and draws whenever it is above 0.
    """
    generate = getattr(model, "generate", None)
    takes = generate is not None and "temperature" in inspect.signature(generate).parameters
    return {"temperature": 0.0} if takes else {}


def generation_arguments(
    presets: Sequence[Preset], tokenizer: Any, model: Any, assistant_model: Any
) -> dict[str, Any]:
    """Returns the arguments for the presets' generation fields, and always `do_sample`.

    Raises `EngineError` with every field that `generate` can't take.
    """
    refuse((preset.generation for preset in presets), TRANSFORMERS, WHERE)
    problems: list[Problem] = []
    # If some rows are greedy and others are not, the greedy ones have temperature 0.
    kwargs: dict[str, Any] = {"do_sample": not _all_greedy(presets)}
    if assistant_model is not None:
        kwargs["assistant_model"] = assistant_model
    for field in dict.fromkeys(name for preset in presets for name in preset.generation):
        values = [preset.generation.get(field) for preset in presets]
        route = TRANSFORMERS.route(field)
        if route.how != "native":
            continue  # the value is neutral: `refuse` passes no other
        problem = _problem(field, values, presets, tokenizer)
        if problem is not None:
            problems.append(problem)
        elif field == "generation_kwargs":
            kwargs.update(values[0] or {})
        elif field not in ("seed", "do_sample", *ASSISTANT_FIELDS):
            kwargs[route.where] = _argument(field, values[0])
            if field in _NEED_TOKENIZER:
                kwargs["tokenizer"] = tokenizer
    forced, problem = _forced_at_the_limit(presets)
    kwargs.update(forced)
    if problem is not None:
        problems.append(problem)
    problems += _set_up_assistant(presets, kwargs, model)
    problems += _unseen_drafts(presets, kwargs)
    if kwargs.get("cache_implementation") == "paged":
        message = "turns generate to continuous batching, which leaves out the presets"
        allowed = "temperament.transformers.generate_batch"
        problems.append(Problem(WHERE, "cache_implementation", message, "'paged'", allowed))
    if kwargs.get("is_assistant"):
        problems += (
            Problem(WHERE, name, "must be true with is_assistant", shown(kwargs.get(name)), "true")
            for name in ("output_scores", "return_dict_in_generate")
            if not kwargs.get(name)
        )
    if problems:
        raise EngineError(problems)
    return kwargs


def _check_encoder_is_known(presets: Sequence[Preset]) -> None:
    """Raises `EngineError` for each field that reads an encoder's text, which isn't known here."""
    problems = [
        Problem(
            WHERE,
            name,
            "reads the input of the encoder, if the model has one; a logits processor sees the"
            " decoder's tokens alone",
            allowed="generate_kwargs(..., model=model), or inputs=inputs",
        )
        for name in OF_THE_SOURCE
        if any(name in reads_the_source(preset) for preset in presets)
    ]
    if problems:
        raise EngineError(problems)


def _encoder_fields(presets: Sequence[Preset]) -> tuple[list[Preset], dict[str, Any]]:
    """Returns the presets without the fields that read an encoder's text, and these fields.

    A logits processor sees the decoder's tokens alone, so Transformers' own processors get them,
    with the same values for all rows of a call. Raises `EngineError` for other values.
    """
    problems = set_in_modes(presets)
    fields = {}
    for name in OF_THE_SOURCE:
        values = [preset.values.get(name) for preset in presets]
        if any(value != values[0] for value in values):
            message = (
                "differs between the presets of one call; Transformers applies it to all rows,"
                " since it alone has the encoder's text"
            )
            allowed = "generate_kwargs(..., inputs=inputs), the same in all, or one call for each"
            problems.append(Problem(WHERE, name, message, shown(values), allowed))
        elif values[0] is not None:
            fields[name] = values[0]
    if problems:
        raise EngineError(problems)
    return [without_the_source(preset) for preset in presets], fields


def _forced_at_the_limit(presets: Sequence[Preset]) -> tuple[dict[str, Any], Problem | None]:
    """Returns `forced_eos_token_id` as an argument, where only `generate` knows its limit.

    The stage reads `max_tokens`. Without it Transformers' own processor gets the tokens, with the
    same ones for all rows of a call; otherwise they are a problem.
    """
    field = "forced_eos_token_id"
    if all("max_tokens" in preset.generation for preset in presets):
        return {}, None
    chains = [chain for preset in presets for chain in preset.chains.values()]
    values = [chain.values.get(field, ()) for chain in chains]
    if any(value != values[0] for value in values):
        message = (
            "differs between the presets or modes of one call; a logits processor doesn't know"
            " the limit of generate"
        )
        allowed = "max_tokens in the presets, the same in all, or one call for each"
        return {}, Problem(WHERE, field, message, shown(values), allowed)
    return ({field: list(values[0])} if values[0] else {}), None


def _unseen_drafts(presets: Sequence[Preset], kwargs: Mapping[str, Any]) -> list[Problem]:
    """Returns a problem for each way of drafting beside a state that follows the drawn tokens.

    Transformers calls the processor for tokens that are drafts, and doesn't say which were kept.
    """
    stateful = dict.fromkeys(name for preset in presets for name in names_with_state(preset))
    message = f"drafts tokens, which {', '.join(stateful)} would take for drawn ones"
    return [
        Problem(WHERE, name, message, type(kwargs[name]).__name__, "generate without drafts")
        for name in ("assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit")
        if stateful and kwargs.get(name)
    ]


def _without_draw(preset: Preset) -> Preset:
    """A preset for greedy decoding, without its shapes, cuts and stages that draw the token."""
    generation = {k: v for k, v in preset.generation.items() if k != "do_sample"}
    modes = tuple(replace(mode, values=_undrawn(mode.values), order=()) for mode in preset.modes)
    values = _undrawn(preset.values)
    return replace(preset, values=values, order=(), generation=generation, modes=modes)


def _undrawn(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if STAGE_OF[name].acts_without_draw}


def _all_greedy(presets: Sequence[Preset]) -> bool:
    return all(preset.generation.get("do_sample") is False for preset in presets)


def _problem(
    field: str, values: Sequence[Any], presets: Sequence[Preset], tokenizer: Any
) -> Problem | None:
    """Returns why `generate` can't take a field, None if it can; `values` are the presets'."""
    if field == "seed":
        return seed_problem(presets, "call torch.manual_seed(...) before generate")
    differ = any(value != values[0] for value in values)
    beams = any(preset.generation.get("num_beams", 1) > 1 for preset in presets)
    if differ and (field != "do_sample" or beams):
        message = "differs between the presets of one call"
        return Problem(
            WHERE, field, message, shown(values), "the same in all, or one call for each"
        )
    if field in _NEED_TOKENIZER and values[0] and tokenizer is None:
        return Problem(WHERE, field, "needs the tokenizer", shown(values))
    return None


def seed_problem(presets: Sequence[Preset], instead: str) -> Problem | None:
    """Returns why Transformers can't honour the presets' seeds, None if it can.

    It can if the processor draws the tokens. `instead` is what else to do.
    """
    values = [preset.generation.get("seed") for preset in presets]
    unseeded = all(value in (None, NO_SEED) for value in values)
    if unseeded or all(preset.chain.draws for preset in presets):
        return None
    message = "Transformers draws every row from one generator"
    return Problem(WHERE, "seed", message, shown(values), instead)


def _argument(field: str, value: Any) -> Any:
    """`value` in the type that `generate` takes."""
    if field == "watermarking_config":
        return _watermark(value)
    if field == "compile_config":
        from transformers import CompileConfig

        return CompileConfig(**value)
    if isinstance(value, tuple):
        return value[0] if field in _ONE_FOR_ALL and len(value) == 1 else list(value)
    return value


def _watermark(value: Mapping[str, Any]) -> Any:
    from transformers import SynthIDTextWatermarkingConfig, WatermarkingConfig

    kind = SynthIDTextWatermarkingConfig if "ngram_len" in value else WatermarkingConfig
    return kind(**value)


def _set_up_assistant(
    presets: Sequence[Preset], kwargs: dict[str, Any], model: Any
) -> list[Problem]:
    """Writes the presets' fields for assisted generation where Transformers reads them.

    That is the configuration of the assistant model, or of the model itself if it exits early to
    assist itself; a model that is the assistant takes them as arguments. Returns a problem for each
    field if there is no assistant.
    """
    fields = {
        name: value
        for preset in presets
        for name, value in preset.generation.items()
        if name in ASSISTANT_FIELDS
    }
    if not fields:
        return []
    if kwargs.get("is_assistant"):
        kwargs.update(fields)
        return []
    assistant = kwargs.get("assistant_model")
    if assistant is None and kwargs.get("assistant_early_exit"):
        assistant = model
    if assistant is None:
        message = "is read from the assistant model's generation_config alone"
        allowed = "generate_kwargs(..., assistant_model=...)"
        return [Problem(WHERE, name, message, shown(fields[name]), allowed) for name in fields]
    assistant.generation_config.update(**fields)
    return []
