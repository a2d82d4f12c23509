"""Presets for `LLM.generate` and `LLM.chat`: a preset becomes `SamplingParams`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temperament.errors import PresetError, Problem
from temperament.plan import Choice, encode, split_preset
from temperament.plan.documented import refuse
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.fields import SETTINGS
from temperament.presets.model_facts import facts_of_config
from temperament.presets.resolve import named, resolve
from temperament.presets.token_ids import check_tokens, token_ids

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams


def sampling_params(
    preset: str | Mapping[str, Any] | Preset,
    *,
    model: str | LLM | None = None,
    thinking: bool | None = None,
    model_defaults: Mapping[str, Any] | None = None,
    catalogue: Catalogue | None = None,
    plan: Choice = "auto",
    **overrides: Any,
) -> SamplingParams:
    """Returns the `SamplingParams` with which vLLM samples by `preset`.

    `overrides` are fields that win over the preset's (`temperature=0.2`, `max_tokens=256`), and any
    other field of `SamplingParams` (`n=4`, `logprobs=5`). `model` is the `LLM`, or the model's
    folder or name. From the `LLM` and the folder comes the lowest layer, the model's
    `generation_config.json`, as on a server; from a name alone, or without a model, it isn't known
    and what the preset doesn't set is neutral. `model_defaults` replaces it, `{}` leaves it out. A
    preset may be relative to what the model's vendor recommends. With the `LLM`, token ids that
    the model doesn't have are refused here; without it vLLM refuses them when it gets the request,
    as ids of a `logit_bias`: the largest one gets a bias of 0. `thinking` is whether the chat
    template makes the model think before it answers, None for what its family does by default.

    Raises `PresetError` for an unknown preset or a wrong value, `EngineError` for generation fields
    that vLLM can't honour, and what `SamplingParams` raises for any other field.
    """
    from vllm import SamplingParams
    from vllm.platforms import current_platform

    catalogue = Catalogue.load() if catalogue is None else catalogue
    vocabulary = None
    if isinstance(model, str):
        catalogue = catalogue.for_model(model, thinking)
        if model_defaults is None:
            model_defaults = _of_folder(Path(model))
    elif model is not None:
        config = model.model_config
        facts = facts_of_config(config.model, config.hf_config.to_dict())
        catalogue = catalogue.for_model(facts, thinking)
        vocabulary = config.get_vocab_size()
        if model_defaults is None:
            model_defaults = config.get_diff_sampling_param()
    settings = {name: value for name, value in overrides.items() if name in SETTINGS}
    others = {name: value for name, value in overrides.items() if name not in SETTINGS}
    chosen = named(preset, catalogue)
    below = as_preset(model_defaults, catalogue) if model_defaults else None
    resolved = resolve(chosen, catalogue, fields=settings, model_values=below)
    if vocabulary is not None:
        check_tokens(resolved, vocabulary)
    split = split_preset(resolved, VLLM, plan, current_platform.device_type)
    refuse([resolved.generation], VLLM, "sampling_params")
    fields: dict[str, Any] = {
        **split.native,
        **VLLM.generation_fields(resolved.generation),
        **others,
    }
    if vocabulary is None and (ids := token_ids(resolved)):
        fields["logit_bias"] = {max(ids): 0.0, **(fields.get("logit_bias") or {})}
    if split.residual:
        extra = dict(fields.get("extra_args") or {})
        fields["extra_args"] = {**extra, KEY: encode(split.residual, chosen.label)}
    return SamplingParams(**fields)


def _of_folder(folder: Path) -> dict[str, Any]:
    """Returns the values of vLLM's sampling fields in a model's folder, as vLLM reads them.

    Raises `PresetError` for a file that can't be read.
    """
    file = folder / "generation_config.json"
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise PresetError(Problem(str(file), "", "can't be read as a JSON object"))
    return {name: content[name] for name in VLLM.fields if content.get(name) is not None}
