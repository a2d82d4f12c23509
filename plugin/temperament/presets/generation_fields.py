"""The fields of a preset beside its stages: lengths, search, caches, outputs, special tokens.

They are the parameters of the reference documents that aren't samplers. This file defines which
values are allowed; `plan` defines what each engine does with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from temperament.stages.kinds import whole

MAX_STOPS = 64
NO_SEED = -1  # as a seed: none, whatever a lower layer sets
INT32_MAX = 2**31 - 1

# Second names of fields in the reference documents.
SYNONYMS = {"max_new_tokens": "max_tokens", "stop_strings": "stop"}

# What engines call a preset's field: an error about an unknown name says the preset's.
ELSEWHERE = {
    "ignore_eos": "eos_token_id",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "min_tokens": "min_new_tokens",
    "n": "num_return_sequences",
    "stop_sequences": "stop",
    "stop_token_ids": "eos_token_id",
}

# Arguments of `generate` that would run code or replace the processor: no preset may set them.
_NOT_IN_KWARGS = frozenset(
    {
        "custom_generate",
        "generation_config",
        "logits_processor",
        "prefix_allowed_tokens_fn",
        "stopping_criteria",
        "streamer",
        "trust_remote_code",
    }
)


def _as_list(value: Any) -> Any:
    one = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return [value] if one else value


def _in_range(low: float, high: float) -> Callable[[float], float]:
    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError("out of range")
        return value

    return check


def _allowed_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    from temperament.stages import PARAMETERS

    for name in kwargs:
        if name in PARAMETERS or name in GENERATION or name in SYNONYMS:
            raise ValueError(f"{name} is a field of the preset itself")
        if name in _NOT_IN_KWARGS:
            raise ValueError(f"a preset can't set {name}")
    return kwargs


def _integer(low: int, high: int = INT32_MAX) -> tuple[Any, str]:
    bound = "inf)" if high == INT32_MAX else f"{high}]"
    number = Annotated[int, Field(strict=True, ge=low, le=high), BeforeValidator(whole)]
    return number, f"an integer in [{low}, {bound}"


def _number(low: float, high: float, allowed: str) -> tuple[Any, str]:
    number = Annotated[
        float, Field(strict=True, allow_inf_nan=False), AfterValidator(_in_range(low, high))
    ]
    return number, allowed


_FLAG = (Annotated[bool, Field(strict=True)], "true or false")
_TOKEN = Annotated[int, Field(strict=True, ge=0, le=INT32_MAX), BeforeValidator(whole)]
_TOKEN_ID = (_TOKEN, "a token id")
_TOKEN_IDS = (
    Annotated[
        tuple[_TOKEN, ...],
        Field(min_length=1, max_length=MAX_STOPS),
        BeforeValidator(_as_list),
    ],
    f"a token id or a list of 1 to {MAX_STOPS} of them",
)
_TOKENS = tuple[_TOKEN, ...]
_MAP = (dict[str, JsonValue], "a map")

# field -> (pydantic annotation, what it allows as messages show it)
GENERATION: dict[str, tuple[Any, str]] = {
    "max_tokens": (
        Annotated[int, Field(strict=True, ge=1, le=INT32_MAX), BeforeValidator(whole)],
        "an integer in [1, 2147483647]",
    ),
    "stop": (
        Annotated[
            tuple[Annotated[str, Field(strict=True, min_length=1, max_length=1000)], ...],
            Field(min_length=1, max_length=MAX_STOPS),
            BeforeValidator(_as_list),
        ],
        f"a text or a list of 1 to {MAX_STOPS} texts, none of them empty",
    ),
    "seed": (
        Annotated[int, Field(strict=True, ge=NO_SEED, lt=2**63), BeforeValidator(whole)],
        "an integer in [0, 2^63), or -1 for none",
    ),
    "max_length": _integer(1),
    "min_length": _integer(0),
    "early_stopping": (
        Annotated[bool, Field(strict=True)] | Literal["never"],
        "true, false or 'never'",
    ),
    "max_time": _number(1e-9, 1e9, "a number of seconds above 0"),
    "do_sample": _FLAG,
    "num_beams": _integer(1, 1024),
    "num_beam_groups": _integer(1, 1024),
    "penalty_alpha": _number(0.0, 1.0, "a number in [0, 1]"),
    "dola_layers": (
        Literal["low", "high"] | tuple[_TOKEN, ...],
        "'low', 'high' or a list of layer numbers",
    ),
    "use_cache": _FLAG,
    "cache_implementation": (
        Annotated[str, Field(strict=True, pattern=r"^[a-z_]{1,40}$")],
        "a cache's name: dynamic, static, offloaded, offloaded_static, quantized, ...",
    ),
    "cache_config": _MAP,
    "return_legacy_cache": _FLAG,
    "diversity_penalty": _number(0.0, 1e9, "a number in [0, inf)"),
    "length_penalty": _number(-1e9, 1e9, "a number"),
    "force_words_ids": (
        tuple[_TOKENS, ...] | tuple[tuple[_TOKENS, ...], ...],
        "a list of lists of token ids, or a list of such lists",
    ),
    "constraints": (tuple[JsonValue, ...], "a list"),
    "forced_decoder_ids": (
        tuple[tuple[_TOKEN, _TOKEN], ...],
        "a list of pairs: a position and a token id",
    ),
    "token_healing": _FLAG,
    "guidance_scale": _number(-1e9, 1e9, "a number"),
    "low_memory": _FLAG,
    "watermarking_config": _MAP,
    "num_return_sequences": _integer(1, 16384),
    "output_attentions": _FLAG,
    "output_hidden_states": _FLAG,
    "output_scores": _FLAG,
    "output_logits": _FLAG,
    "return_dict_in_generate": _FLAG,
    "pad_token_id": _TOKEN_ID,
    "bos_token_id": _TOKEN_ID,
    "eos_token_id": _TOKEN_IDS,
    "decoder_start_token_id": _TOKEN_IDS,
    "is_assistant": _FLAG,
    "num_assistant_tokens": _integer(1),
    "num_assistant_tokens_schedule": (
        Literal["heuristic", "heuristic_transient", "constant"],
        "'heuristic', 'heuristic_transient' or 'constant'",
    ),
    "assistant_confidence_threshold": _number(0.0, 1.0, "a number in [0, 1]"),
    "prompt_lookup_num_tokens": _integer(1),
    "max_matching_ngram_size": _integer(1),
    "assistant_early_exit": _integer(1),
    "assistant_lookbehind": _integer(1),
    "target_lookbehind": _integer(1),
    "compile_config": _MAP,
    "disable_compile": _FLAG,
    "generation_kwargs": (
        Annotated[dict[str, JsonValue], AfterValidator(_allowed_kwargs)],
        "a map of further arguments of generate, none of them a field of a preset or code",
    ),
}
