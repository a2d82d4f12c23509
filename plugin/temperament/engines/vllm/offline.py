"""Presets for `LLM.generate` and `LLM.chat`: a preset becomes `SamplingParams`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from temperament.plan import Choice, encode, split_preset
from temperament.plan.documented import refuse
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.fields import SETTINGS
from temperament.presets.resolve import named, resolve

if TYPE_CHECKING:
    from vllm import SamplingParams


def sampling_params(
    preset: str | Mapping[str, Any] | Preset,
    *,
    model: str | None = None,
    thinking: bool | None = None,
    model_defaults: Mapping[str, Any] | None = None,
    catalogue: Catalogue | None = None,
    plan: Choice = "auto",
    **overrides: Any,
) -> SamplingParams:
    """Returns the `SamplingParams` with which vLLM samples by `preset`.

    `overrides` are fields that win over the preset's (`temperature=0.2`, `max_tokens=256`), and any
    other field of `SamplingParams` (`n=4`, `logprobs=5`). `model` is the model's name or folder: a
    preset may be relative to what its vendor recommends. `thinking` is whether the model thinks
    before it answers (as its chat template was told), None for what its family does without being
    told. `model_defaults` is the lowest layer, for instance
    `llm.model_config.get_diff_sampling_param()`.

    Raises `PresetError` for an unknown preset or a wrong value, `EngineError` for generation fields
    that vLLM can't honour, and what `SamplingParams` raises for any other field.
    """
    from vllm import SamplingParams
    from vllm.platforms import current_platform

    catalogue = Catalogue.load() if catalogue is None else catalogue
    if model is not None:
        catalogue = catalogue.for_model(model, thinking)
    settings = {name: value for name, value in overrides.items() if name in SETTINGS}
    others = {name: value for name, value in overrides.items() if name not in SETTINGS}
    chosen = named(preset, catalogue)
    below = as_preset(model_defaults, catalogue) if model_defaults else None
    resolved = resolve(chosen, catalogue, fields=settings, model_values=below)
    split = split_preset(resolved, VLLM, plan, current_platform.device_type)
    refuse([resolved.generation], VLLM, "sampling_params")
    fields: dict[str, Any] = {
        **split.native,
        **VLLM.generation_fields(resolved.generation),
        **others,
    }
    if split.residual:
        extra = dict(fields.get("extra_args") or {})
        fields["extra_args"] = {**extra, KEY: encode(split.residual, chosen.label)}
    return SamplingParams(**fields)
