"""The endpoints that draw tokens, as data: what each calls its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from temperament.plan.targets import VLLM, VLLM_MESSAGES, Target


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """How one endpoint takes what a preset says.

    `generation` gives the request's spellings of our generation fields, the one that we write
    first. A field that is missing there can't be said on this endpoint.
    """

    target: Target
    generation: Mapping[str, tuple[str, ...]]
    # Fields of ours that vLLM reads there too: a request with no others is vLLM's own.
    knows: frozenset[str] = frozenset()
    # Whether it can return the ids of the tokens, from which a trace follows.
    returns_ids: bool = False
    # Whether errors have the form of Anthropic's API rather than OpenAI's.
    anthropic: bool = False


_KNOWS = frozenset({"allowed_token_ids"})
_SAMPLES = {"num_return_sequences": ("n",), "eos_token_id": ("stop_token_ids",)}

_CHAT = Endpoint(
    VLLM,
    {
        "max_tokens": ("max_completion_tokens", "max_tokens"),
        "stop": ("stop",),
        "seed": ("seed",),
        **_SAMPLES,
    },
    knows=_KNOWS,
)

ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": replace(_CHAT, returns_ids=True),
    "/v1/chat/completions/batch": _CHAT,
    "/v1/completions": Endpoint(
        VLLM,
        {"max_tokens": ("max_tokens",), "stop": ("stop",), "seed": ("seed",), **_SAMPLES},
        knows=_KNOWS,
        returns_ids=True,
    ),
    # SageMaker's: a chat or a completion, by its fields
    "/invocations": Endpoint(
        VLLM,
        {
            "max_tokens": ("max_tokens", "max_completion_tokens"),
            "stop": ("stop",),
            "seed": ("seed",),
            **_SAMPLES,
        },
        knows=_KNOWS,
        returns_ids=True,
    ),
    "/v1/responses": Endpoint(
        VLLM,
        {
            "max_tokens": ("max_output_tokens", "max_tokens"),
            "stop": ("stop",),
            "seed": ("seed",),
            "eos_token_id": ("stop_token_ids",),
        },
    ),
    "/v1/messages": Endpoint(
        VLLM_MESSAGES,
        {"max_tokens": ("max_tokens",), "stop": ("stop_sequences", "stop")},
        anthropic=True,
    ),
}
