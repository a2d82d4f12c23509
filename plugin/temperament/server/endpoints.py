"""The endpoints that generate text, as data: what each calls its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from temperament.plan.targets import VLLM, VLLM_MESSAGES, VLLM_SERVER, Target
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
    # Sampling fields that vLLM reads on this endpoint, in addition to those of the target.
    knows: frozenset[str] = frozenset()
    # Whether an answer can have the token ids, from which the trace of modes is computed.
    returns_ids: bool = False
    # Whether errors have the form of Anthropic's API rather than OpenAI's.
    anthropic: bool = False
    # Why a preset can't act here, "" if it can. A request with the plugin's fields is then refused.
    unsupported: str = ""

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
        """Returns the target on a server whose model's `generation_config.json` has these values.

        vLLM always applies the values that it fills in. So their stages are native here, even
        where the ops compute them faster.
        """
        target, filled = self.target, self.filled_in(model)
        if not filled:
            return target
        order = tuple(name for name in VLLM.order if name in (*target.order, *filled))
        before = tuple(name for name in VLLM.before if name in (*target.before, *filled))
        slow = {platform: names.difference(filled) for platform, names in target.slow.items()}
        return replace(target, order=order, before=before, slow=slow)


def _carried(*without: str, **others: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Returns the spellings of vLLM's generation fields on an endpoint.

    `without` are the fields that it lacks, `others` those that it spells in another way.
    """
    fields = {name: (spelling,) for name, spelling in VLLM_SERVER.spellings.items()}
    return {name: one for name, one in {**fields, **others}.items() if name not in without}


_KNOWS = frozenset({"allowed_token_ids"})

_CHAT = Endpoint(
    VLLM_SERVER, _carried(max_tokens=("max_completion_tokens", "max_tokens")), knows=_KNOWS
)

# Routes that draw tokens, or prepare it, and on which a preset can't act.
_RENDERS = "returns a request for another server, without the preset's stages"
_UNSUPPORTED = {
    "/inference/v1/generate": "takes sampling parameters of the engine, not of the API",
    "/v1/chat/completions/render": _RENDERS,
    "/v1/completions/render": _RENDERS,
    "/v1/responses/render": _RENDERS,
    "/v1/messages/render": _RENDERS,
    "/cohere/v2/chat/render": _RENDERS,
    "/v1/audio/transcriptions": "has sampling fields of its own",
    "/v1/audio/translations": "has sampling fields of its own",
    "/v1/systemone": "sets the sampling parameters itself",
    "/v1/decisions": "sets the sampling parameters itself",
    "/generative_scoring": "sets the sampling parameters itself",
    "/cohere/v2/chat": "has sampling fields of its own",
}

# The same for web sockets.
WEB_SOCKETS: Mapping[str, str] = {"/v1/realtime": "has sampling fields of its own"}

ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": replace(_CHAT, returns_ids=True),
    "/v1/chat/completions/batch": _CHAT,
    "/v1/completions": Endpoint(VLLM_SERVER, _carried(), knows=_KNOWS, returns_ids=True),
    # SageMaker's: a chat or a completion, by its fields
    "/invocations": Endpoint(
        VLLM_SERVER,
        _carried(max_tokens=("max_tokens", "max_completion_tokens")),
        knows=_KNOWS,
        returns_ids=True,
    ),
    "/v1/responses": Endpoint(
        VLLM_SERVER,
        _carried("num_return_sequences", max_tokens=("max_output_tokens", "max_tokens")),
    ),
    "/v1/messages": Endpoint(
        VLLM_MESSAGES,
        _carried("num_return_sequences", "seed", "eos_token_id", stop=("stop_sequences", "stop")),
        anthropic=True,
    ),
    **{path: replace(_CHAT, unsupported=reason) for path, reason in _UNSUPPORTED.items()},
}
