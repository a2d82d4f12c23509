"""What each engine does on its own, as data: its order, its limits, and where our slot is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Values = Mapping[str, Any]

# Stages that give the same set in either order: the k most likely of those above a share of the
# maximum are those among the k most likely that are above it.
COMMUTING: frozenset[frozenset[str]] = frozenset({frozenset({"top_k", "min_p"})})


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that the engine would refuse or change: when, and why we then do it."""

    applies: Callable[[Values], bool]
    reason: str


@dataclass(frozen=True)
class Target:
    """One engine, as a place where a chain may run.

    `order` are the stages that it can run for us, in its own order, `before` those of them that it
    runs before our slot; `has` are all that it has at all. `fields` are its request fields with
    their neutral values. `slow` are stages that our own ops were measured to do faster, by
    platform.
    """

    name: str
    order: tuple[str, ...]
    before: tuple[str, ...]
    fields: Mapping[str, Any]
    has: frozenset[str]
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    slow: Mapping[str, frozenset[str]] = field(default_factory=dict)


VLLM = Target(
    name="vllm",
    order=(
        "logit_bias",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "temperature",
        "min_p",
        "top_k",
        "top_p",
    ),
    # Our slot: in the V1 runner among the processors after temperature, in V2 before it. With the
    # engine's temperature at 1 both are the same place: behind biases and penalties.
    before=("logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty"),
    fields={
        "logit_bias": None,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "temperature": 1.0,
        "min_p": 0.0,
        "top_k": 0,
        "top_p": 1.0,
    },
    has=frozenset(
        {
            "allowed_token_ids",
            "frequency_penalty",
            "logit_bias",
            "min_new_tokens",
            "min_p",
            "presence_penalty",
            "repetition_penalty",
            "temperature",
            "top_k",
            "top_p",
        }
    ),
    limits={
        "temperature": (
            Limit(lambda v: 0 < v["temperature"] < 0.01, "vLLM lifts (0, 0.01) to 0.01"),
            Limit(lambda v: v["temperature"] > 2, "vLLM refuses a temperature above 2"),
        ),
        "repetition_penalty": (
            Limit(lambda v: v["repetition_range"] > 0, "vLLM has no range of tokens"),
        ),
        "top_p": (Limit(lambda v: v["top_p"] == 0, "vLLM refuses a top_p of 0"),),
        "logit_bias": (
            Limit(
                lambda v: any(abs(bias) > 100 for _, bias in v["logit_bias"]),
                "vLLM cuts biases to [-100, 100]",
            ),
        ),
    },
    # On the CPU vLLM sorts the vocabulary for a top_p, and counts tokens in a table of the whole
    # vocabulary for a penalty: docs/benchmarks.md. On a GPU its fused kernels stay.
    slow={
        "cpu": frozenset(
            {"top_k", "top_p", "repetition_penalty", "frequency_penalty", "presence_penalty"}
        )
    },
)

# /v1/messages carries three sampling fields; the others would be dropped without a word.
VLLM_MESSAGES = replace(
    VLLM,
    name="vllm /v1/messages",
    order=("temperature", "top_k", "top_p"),
    before=(),
    fields={"temperature": 1.0, "top_k": 0, "top_p": 1.0},
)

# The user's processors run before Transformers' own warpers, which are then all switched off.
TRANSFORMERS = Target(
    name="transformers",
    order=(),
    before=(),
    has=frozenset(
        {
            "bad_words_ids",
            "begin_suppress_tokens",
            "encoder_no_repeat_ngram_size",
            "encoder_repetition_penalty",
            "epsilon_cutoff",
            "eta_cutoff",
            "exponential_decay_length_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "min_new_tokens",
            "min_p",
            "no_repeat_ngram_size",
            "remove_invalid_values",
            "renormalize_logits",
            "repetition_penalty",
            "sequence_bias",
            "suppress_tokens",
            "temperature",
            "top_h",
            "top_k",
            "top_p",
            "typical_p",
        }
    ),
    fields={
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": None,
        "top_h": None,
        "typical_p": 1.0,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
        "repetition_penalty": 1.0,
        "remove_invalid_values": False,
        "renormalize_logits": False,
    },
)

TARGETS: Mapping[str, Target] = {"vllm": VLLM, "transformers": TRANSFORMERS}
