"""The residual chain in a request's `SamplingParams`: checked on arrival, read by the worker."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger

from temperament.batch.request import Request
from temperament.batch.request import request_of as batch_request
from temperament.errors import Problem, RequestError, shown
from temperament.plan import Residual, decode
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.token_ids import check_tokens
from temperament.stages import BY_NAME

if TYPE_CHECKING:
    from vllm import SamplingParams

NAMED = "preset"

logger = init_logger("vllm.temperament")

_NO_CHAIN = Request()


def validate(params: SamplingParams) -> None:
    """Raises `RequestError` or `PresetError` (HTTP 400) for a chain that can't be run as it is."""
    extra = params.extra_args or {}
    if KEY not in extra:
        if NAMED in extra:
            raise RequestError(
                Problem(
                    f"vllm_xargs.{NAMED}",
                    "",
                    "this server reads no presets from requests",
                    allowed="start it with VLLM_PLUGINS=temperament; offline, use"
                    " temperament.vllm.sampling_params(...)",
                )
            )
        return
    text = extra[KEY]
    if not isinstance(text, str):
        raise RequestError(Problem(f"vllm_xargs.{KEY}", "", "not a chain", shown(text), "a string"))
    chains = decode(text).chains
    if not any(chains.values()):
        return
    most = Residual(chains).most_tokens
    problems = [
        Problem(
            "SamplingParams",
            name,
            "would act a second time, beside the preset's chain",
            shown(getattr(params, name)),
            f"{neutral} (neutral)",
        )
        for name, neutral in VLLM.fields.items()
        if BY_NAME[name].movable and not _is_neutral(name, getattr(params, name), most)
    ]
    if problems:
        raise RequestError(problems)


def _is_neutral(name: str, value: Any, most: int | None) -> bool:
    """Whether a field changes nothing after chains that leave at most `most` tokens."""
    if name == "top_k" and most is not None and value >= most:
        return True
    return bool(value == VLLM.fields[name] or (name == "top_k" and value == -1))


def request_of(params: SamplingParams, unseeded: int, vocabulary: int) -> Request:
    """Returns what the processor runs for a request that passed `validate`.

    `unseeded` is the seed of a request that has none, `vocabulary` the number of the model's
    tokens. Raises `PresetError` for an id beyond them, which `validate` can't know.

    A request that names a preset here has passed no `validate`: vLLM's Rust front end doesn't call
    it. An engine can't refuse a single request, so its text ends at once, and the log says why.
    """
    extra = params.extra_args or {}
    text = extra.get(KEY)
    if not isinstance(text, str):
        if NAMED in extra:
            _report(shown(extra[NAMED]))
            return _ended(params)
        return _NO_CHAIN
    preset = _decode(text, vocabulary)
    seed = preset.generation.get("seed", unseeded) if params.seed is None else params.seed
    limit = -1 if params.max_tokens is None else params.max_tokens
    ends = tuple(sorted(params.all_stop_token_ids))
    return replace(batch_request(preset, ends), seed=seed, limit=limit, label=preset.name)


@lru_cache(maxsize=256)
def _report(name: str) -> None:
    """Logs, once for each preset, that a front end passed its name on without reading it."""
    logger.error(
        "temperament: vllm_xargs.preset %s: no front end has read it, so its texts end at once;"
        " `temperament serve` reads presets.",
        name,
    )


def _ended(params: SamplingParams) -> Request:
    """Returns a request that draws a token which ends its text.

    With `ignore_eos` and no stop tokens, no token ends it. Then the model's end token is drawn
    until the text reaches its limit.
    """
    stops = {*(params.stop_token_ids or ()), params.eos_token_id} - {None}
    ends = sorted(stops or params.all_stop_token_ids or {0})
    return Request(as_preset({"allowed_token_ids": ends}, Catalogue({})).chain, label=NAMED)


@lru_cache(maxsize=256)
def _decode(text: str, vocabulary: int) -> Preset:
    preset = decode(text)
    check_tokens(preset, vocabulary)
    return preset
