"""The residual chain in a request's `SamplingParams`: how it is read, and refused at the door."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from temperament.batch.process import request_of as batch_request
from temperament.batch.table import Request
from temperament.errors import Problem, RequestError, shown
from temperament.plan import decode
from temperament.plan.targets import VLLM
from temperament.plan.vocabulary import TokenBytes
from temperament.plan.wire import KEY
from temperament.stages import BY_NAME

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

_NOTHING = Request()


def validate(params: SamplingParams) -> None:
    """Raises `RequestError` or `PresetError` (HTTP 400) if the chain can't be run as it is."""
    extra = params.extra_args or {}
    if KEY not in extra:
        if "preset" in extra:
            raise RequestError(
                Problem(
                    "vllm_xargs.preset",
                    "",
                    "this server reads no presets from requests",
                    allowed="start it with VLLM_PLUGINS=temperament; offline, use"
                    " temperament.vllm.sampling_params(...)",
                )
            )
        return
    text = extra[KEY]
    if not isinstance(text, str):
        raise RequestError(Problem(f"vllm_xargs.{KEY}", "", "not a chain", shown(text), "a text"))
    if not any(decode(text).chains.values()):
        return
    native = {
        name: getattr(params, name)
        for name, neutral in VLLM.fields.items()
        if BY_NAME[name].movable and getattr(params, name) != neutral
    }
    native.pop("top_k", None) if native.get("top_k") == -1 else None
    if native:
        raise RequestError(
            Problem(
                "SamplingParams",
                name,
                "would act a second time, beside the preset's chain",
                shown(value),
                f"{VLLM.fields[name]} (neutral)",
            )
            for name, value in native.items()
        )


def request_of(params: SamplingParams) -> Request:
    """What we run for a request that `validate` let in."""
    text = (params.extra_args or {}).get(KEY)
    if not isinstance(text, str):
        return _NOTHING
    preset = decode(text)
    seed = params.seed if params.seed is not None else preset.generation.get("seed", 0)
    limit = -1 if params.max_tokens is None else params.max_tokens
    ends = tuple(sorted(params.all_stop_token_ids))
    return replace(batch_request(preset, ends), seed=seed, limit=limit, label=preset.name)


def token_bytes(vllm_config: VllmConfig) -> TokenBytes:
    """The bytes of the served model's tokens, as many as it has logits."""
    from vllm.tokenizers import cached_tokenizer_from_config

    model_config = vllm_config.model_config
    tokenizer = cached_tokenizer_from_config(model_config)
    return TokenBytes.of(tokenizer, model_config.get_vocab_size())
