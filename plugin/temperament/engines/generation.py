"""What presets say beside their stages, as arguments of `model.generate`.

One call has one set of them, so the presets of its rows must agree. The names are Transformers'
own but for `max_tokens` and `stop`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from temperament.errors import EngineError, Problem, shown
from temperament.plan.parameters import ASSISTANT_FIELDS, BY_FIELD, refuse
from temperament.presets import Preset
from temperament.stages import STAGE_OF

WHERE = "generate"
_THEIRS = {"max_tokens": "max_new_tokens", "stop": "stop_strings"}
# A list of one of these is given as its only item, which `generate` then takes for every row.
_ONE_FOR_ALL = ("decoder_start_token_id",)
_NEED_TOKENIZER = ("stop", "token_healing")


def arguments(
    presets: Sequence[Preset], tokenizer: Any, model: Any, assistant_model: Any
) -> dict[str, Any]:
    """The arguments, `do_sample` always among them.

    Raises `EngineError` with everything that can't be honoured.
    """
    refuse((preset.generation for preset in presets), "transformers", WHERE)
    problems: list[Problem] = []
    # Where some rows are greedy and others not, the greedy ones have temperature 0.
    kwargs: dict[str, Any] = {"do_sample": not _all_greedy(presets)}
    if assistant_model is not None:
        kwargs["assistant_model"] = assistant_model
    for field in dict.fromkeys(name for preset in presets for name in preset.generation):
        said = [preset.generation.get(field) for preset in presets]
        reference = BY_FIELD.get(field)
        if reference is not None and reference.transformers.how != "native":
            continue  # neutral, or it would have been refused
        problem = _problem(field, said, presets, tokenizer)
        if problem is not None:
            problems.append(problem)
        elif field == "generation_kwargs":
            kwargs.update(said[0] or {})
        elif field not in ("seed", "do_sample", *ASSISTANT_FIELDS):
            kwargs[_THEIRS.get(field, field)] = _given(field, said[0])
            if field in _NEED_TOKENIZER:
                kwargs["tokenizer"] = tokenizer
    problems += _set_up_assistant(presets, kwargs, model)
    if kwargs.get("is_assistant"):
        problems += (
            Problem(WHERE, name, "must be true with is_assistant", shown(kwargs.get(name)), "true")
            for name in ("output_scores", "return_dict_in_generate")
            if not kwargs.get(name)
        )
    if problems:
        raise EngineError(problems)
    return kwargs


def without_draw(preset: Preset) -> Preset:
    """What is left of a preset where nothing is drawn: all but shapes, cuts and draws of ours."""
    generation = {k: v for k, v in preset.generation.items() if k != "do_sample"}
    modes = tuple(replace(m, values=_undrawn(m.values), order=()) for m in preset.modes)
    values = _undrawn(preset.values)
    return replace(preset, values=values, order=(), generation=generation, modes=modes)


def _undrawn(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if STAGE_OF[name].group in ("bias", "penalty") or name == "renormalize_logits"
    }


def _all_greedy(presets: Sequence[Preset]) -> bool:
    return all(preset.generation.get("do_sample") is False for preset in presets)


def _problem(
    field: str, said: Sequence[Any], presets: Sequence[Preset], tokenizer: Any
) -> Problem | None:
    if field == "seed":
        if all(preset.values.get("reproducible") for preset in presets):
            return None  # our processor draws, and knows the seed
        message = "Transformers draws every row from one generator"
        return Problem(
            WHERE, field, message, shown(said), "call torch.manual_seed(...) before generate"
        )
    mixed = any(value != said[0] for value in said)
    beams = any(preset.generation.get("num_beams", 1) > 1 for preset in presets)
    if mixed and (field != "do_sample" or beams):
        message = "differs between the presets of one call"
        return Problem(WHERE, field, message, shown(said), "the same in all, or one call for each")
    if field in _NEED_TOKENIZER and said[0] and tokenizer is None:
        return Problem(WHERE, field, "needs the tokenizer", shown(said))
    return None


def _given(field: str, value: Any) -> Any:
    """`value` in the form that `generate` wants."""
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
    """Writes what presets say of an assistant into its configuration.

    That is the assistant model's, or the model's own where it exits early to assist itself, or
    where it is the assistant.
    """
    said = {
        name: value
        for preset in presets
        for name, value in preset.generation.items()
        if name in ASSISTANT_FIELDS
    }
    if not said:
        return []
    if kwargs.get("is_assistant"):
        kwargs.update(said)
        return []
    assistant = kwargs.get("assistant_model")
    if assistant is None and kwargs.get("assistant_early_exit"):
        assistant = model
    if assistant is None:
        message = "is read from the assistant model's generation_config alone"
        allowed = "generate_kwargs(..., assistant_model=...)"
        return [Problem(WHERE, name, message, shown(said[name]), allowed) for name in said]
    assistant.generation_config.update(**said)
    return []
