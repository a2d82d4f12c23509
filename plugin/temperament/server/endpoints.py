"""The endpoints that generate text, as data: what each calls its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from temperament.plan.targets import VLLM, VLLM_MESSAGES, Target
from temperament.presets import Preset
from temperament.stages import PARAMETERS


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """How one endpoint takes a preset's fields.

    `generation` gives the request's spellings of each generation field, the one that we write
    first. A field that is missing there can't be set on this endpoint.
    """

    target: Target
    generation: Mapping[str, tuple[str, ...]]
    # Sampling fields beside the target's that vLLM reads there too.
    knows: frozenset[str] = frozenset()
    # Whether it can return the ids of the tokens, from which a trace follows.
    returns_ids: bool = False
    # Whether errors have the form of Anthropic's API rather than OpenAI's.
    anthropic: bool = False

    def filled_in(self, model: Preset) -> tuple[str, ...]:
        """Returns the parameters that the endpoint doesn't carry and vLLM takes from the model.

        `model` are the values of the model's `generation_config.json`.
        """
        return tuple(
            name
            for name, value in model.values.items()
            if name not in self.target.fields and value != PARAMETERS[name].neutral
        )

    def target_with(self, model: Preset) -> Target:
        """Returns the target on a server whose model has these values.

        vLLM applies in any case what it fills in, so those stages are native, however slow.
        """
        target, filled = self.target, self.filled_in(model)
        if not filled:
            return target
        order = tuple(name for name in VLLM.order if name in (*target.order, *filled))
        before = tuple(name for name in VLLM.before if name in (*target.before, *filled))
        slow = {platform: names.difference(filled) for platform, names in target.slow.items()}
        return replace(target, order=order, before=before, slow=slow)


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
