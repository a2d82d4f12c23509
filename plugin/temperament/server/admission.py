"""A request's body in, the body that vLLM is to read out.

Precedence: the request's own field, the named preset, the server's default preset, the model's
`generation_config.json`, the engine's default. A request that says nothing of ours, on a server
without a default preset, is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from temperament.errors import PresetError, Problem, RequestError, shown
from temperament.interchange.sillytavern_request import MARKERS
from temperament.plan import Choice, PresetPlan, encode, split_preset
from temperament.plan.automata.modes import Switching, mode_automaton, unmatched
from temperament.plan.parameters import BY_FIELD as REFERENCE_BY_FIELD
from temperament.plan.parameters import BY_NAME as REFERENCE
from temperament.plan.parameters import refusals
from temperament.plan.targets import VLLM, Target
from temperament.plan.vocabulary import TokenBytes
from temperament.plan.wire import KEY, seeds
from temperament.presets import Catalogue, Preset, schema
from temperament.presets.generation import GENERATION, SYNONYMS
from temperament.presets.resolve import merge, parse_fields, resolve
from temperament.server import trace as tracing
from temperament.server.endpoints import Endpoint
from temperament.server.restrictions import Restrictions, own_size
from temperament.server.scan import may_concern
from temperament.server.selection import FIELD, select
from temperament.server.trace import Trace
from temperament.stages import BY_NAME, PARAMETERS


@dataclass(frozen=True, slots=True)
class Admitted:
    """The body to go on with, the preset's `name@digest` for the answer's header, a trace."""

    body: dict[str, Any]
    label: str | None
    # where the modes of the answer are asked for
    trace: Trace | None = None
    # what of a body of another program's isn't honoured
    warning: str = ""
    # what the answer is to call its model; "": as the engine does
    model: str = ""


MAX_SETTLED = 1024  # sets of words that are kept, with what became of them

# What a request may override beside the fields that say when to stop: null is not given.
_SAMPLING = schema.SETTINGS - GENERATION.keys() - SYNONYMS.keys()
# Generation parameters of the reference documents, by names that vLLM doesn't read.
_REFERENCE = REFERENCE.keys() - _SAMPLING


def _serves_nothing(_name: str) -> bool:
    return False


@dataclass(frozen=True)
class Admission:
    """Everything that admitting a request depends on, fixed when the server starts."""

    catalogue: Catalogue
    default: Preset | None = None
    # what the model's generation_config.json sets
    model_defaults: Preset = field(default_factory=lambda: Preset("model"))
    choice: Choice = "auto"
    platform: str | None = None
    vocabulary: int | None = None
    # the tokens' bytes, for triggers that could never match
    tokens: Callable[[], TokenBytes] | None = None
    # whether draft tokens are tried, which no state from step to step can follow
    speculative: bool = False
    serves: Callable[[str], bool] = _serves_nothing
    restrictions: Restrictions = field(default_factory=Restrictions)
    # whether `GET /v1/models` also lists MODEL:PRESET
    advertise: bool = False
    _settled: dict[tuple[str | None, str, Endpoint], tuple[Preset, PresetPlan]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def offered(self) -> list[Preset]:
        """The presets that a request can name."""
        return [preset for preset in self.catalogue.values() if self.restrictions.allows(preset)]

    def below(self, preset: Preset) -> Preset:
        """`preset` with the server's default and the model's values below it."""
        return merge(preset, self.default, self.model_defaults)

    def plan(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        """Where each stage of a preset runs on this server."""
        return self._split(self.below(preset), endpoint)

    def _split(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        return split_preset(preset, self._target(endpoint), self.choice, self.platform)

    def _filled(self, endpoint: Endpoint) -> tuple[str, ...]:
        """What the endpoint can't carry and vLLM fills from the model's own values."""
        return tuple(
            name
            for name, value in self.model_defaults.values.items()
            if name not in endpoint.target.fields and value != PARAMETERS[name].neutral
        )

    def _target(self, endpoint: Endpoint) -> Target:
        target, filled = endpoint.target, self._filled(endpoint)
        if not filled:
            return target
        order = tuple(name for name in VLLM.order if name in (*target.order, *filled))
        before = tuple(name for name in VLLM.before if name in (*target.before, *filled))
        # What vLLM does in any case isn't ours to do, however slowly it does it.
        slow = {platform: names.difference(filled) for platform, names in target.slow.items()}
        return replace(target, order=order, before=before, slow=slow)

    def may_concern(self, raw: bytes, endpoint: Endpoint) -> bool:
        """Whether a body may be other than vLLM is to read it, without parsing it."""
        always = self.default is not None or bool(self.restrictions.locked)
        return always or may_concern(raw, _fields(endpoint))

    def admit(
        self, body: dict[str, Any], header: str | None, endpoint: Endpoint
    ) -> Admitted | None:
        """The body as vLLM is to read it; None if it is none of our business.

        Raises `RequestError` or `PresetError` with every problem.
        """
        selection = select(body, header, self.catalogue, self.serves, self.restrictions)
        xargs = body.get("vllm_xargs")
        if isinstance(xargs, Mapping) and KEY in xargs:
            raise RequestError(
                Problem(
                    "request",
                    f"vllm_xargs.{KEY}",
                    "is written by the server, not by a request",
                    allowed="the same parameters as fields of the body",
                )
            )
        own = {name: body[name] for name in _SAMPLING if body.get(name) is not None}
        if not body.get("use_beam_search"):
            own |= _asked(body, endpoint)
        ours = own.keys() - endpoint.target.fields.keys() - endpoint.knows
        ours |= {name for name, value in own.items() if isinstance(value, Mapping)}  # schedules
        preset = selection.preset
        if body.get("use_beam_search"):
            if preset is not None or ours:
                raise RequestError(
                    Problem(
                        "request",
                        "use_beam_search",
                        "searches, it doesn't draw: a preset has no meaning there",
                        "true",
                        "false, or no preset",
                        reason="contradiction",
                    )
                )
            if self.restrictions.locked:
                searched = merge(parse_fields(own, "request"), self.model_defaults)
                self._restrict(body, own, searched, endpoint)
            return None
        asked = body.get(tracing.FIELD)
        indifferent = self.default is None and not self.restrictions.locked
        if preset is None and indifferent and not ours and asked is None:
            return None
        named = preset or self.default
        resolved, made = self._settle(preset, own, endpoint)
        if self.restrictions.locked:
            self._restrict(body, own, resolved, endpoint)
        trace = self._trace(asked, resolved, body, endpoint)

        left_out = {FIELD, tracing.FIELD, *own}
        changed = {name: value for name, value in body.items() if name not in left_out}
        if trace is not None:
            changed[tracing.IDS] = True
        if "model" in body:
            changed["model"] = selection.model
        changed.update((name, value) for name, value in made.native.items() if value is not None)
        self._write_generation(changed, body, resolved, endpoint)
        label = named.label if named is not None else None
        self._write_xargs(changed, body, resolved, made, endpoint, label or "request")
        return Admitted(changed, label, trace, model=selection.alias)

    def _restrict(
        self,
        body: Mapping[str, Any],
        own: Mapping[str, Any],
        resolved: Preset,
        endpoint: Endpoint,
    ) -> None:
        """Raises `RequestError` if the request goes beyond what the operator allows."""
        said = {
            name: body[spelling]
            for name, spellings in endpoint.generation.items()
            for spelling in reversed(spellings)
            if body.get(spelling) is not None
        }
        problems = [
            *self.restrictions.set({**own, **said}),
            *self.restrictions.drawn(resolved),
            *self.restrictions.generated({**resolved.generation, **said}),
        ]
        if problems:
            raise RequestError(dict.fromkeys(problems))

    def _trace(
        self, asked: Any, resolved: Preset, body: Mapping[str, Any], endpoint: Endpoint
    ) -> Trace | None:
        """What a trace needs, if one is asked for. Raises `RequestError` if it can't be had."""
        if asked is None or asked is False:
            return None
        switching, why = Switching.of(resolved), ""
        if asked is not True:
            why = "not allowed"
        elif switching is None:
            why = "the preset has no modes"
        elif switching.uses_entropy:
            why = "the preset switches on entropy, which the tokens don't tell"
        elif self.tokens is None or not endpoint.returns_ids:
            why = f"can't be said on {endpoint.target.name}: it returns no token ids"
        elif body.get("include_reasoning") is False:
            why = "include_reasoning: false hides the tokens"
        if why or switching is None or self.tokens is None:
            raise RequestError(
                Problem(
                    "request",
                    tracing.FIELD,
                    why,
                    shown(asked),
                    "true, or false",
                    reason="unsupported",
                )
            )
        vocabulary = self.tokens()
        return Trace(
            mode_automaton(switching, vocabulary), vocabulary, body.get(tracing.IDS) is True
        )

    def _settle(
        self, preset: Preset | None, own: Mapping[str, Any], endpoint: Endpoint
    ) -> tuple[Preset, PresetPlan]:
        """What is drawn and where, by the words alone: the same words are checked once."""
        said = None
        if not schema.too_large(own):  # else no values of ours, as the schema will say
            with suppress(RecursionError):  # lists in lists in lists: the same
                # As text, 1 and 1.0 and true differ.
                said = (self._called(preset), json.dumps(own), endpoint)
        if said is not None and said in self._settled:
            return self._settled[said]
        overrides = parse_fields(own, "request")
        if problems := list(own_size(overrides)):
            raise RequestError(problems)
        resolved = resolve(
            preset,
            self.catalogue,
            fields=overrides if own else None,
            default=self.default,
            model_values=self.model_defaults,
            where="request",
        )
        made = self._split(resolved, endpoint)
        self._refuse(resolved, made, endpoint)
        if len(self._settled) >= MAX_SETTLED:
            self._settled.clear()
        if said is not None:
            self._settled[said] = resolved, made
        return resolved, made

    def _called(self, preset: Preset | None) -> str | None:
        """What tells a preset from others: of the catalogue its name, else its content too."""
        if preset is None:
            return None
        return preset.name if self.catalogue.get(preset.name) is preset else preset.label

    def _refuse(self, resolved: Preset, made: PresetPlan, endpoint: Endpoint) -> None:
        own_draw = "reproducible" in made.residual.names  # which knows the seed
        problems = refusals(resolved.generation, "server", "request")
        problems += (
            Problem(
                "request",
                name,
                f"can't be said on {endpoint.target.name}",
                shown(value),
                reason="unsupported",
            )
            for name, value in resolved.generation.items()
            if _is_native(name, value)
            and name not in endpoint.generation
            and not (name == "seed" and own_draw)
        )
        native = made.native_values
        problems += (
            Problem(
                "request",
                name,
                f"the model's generation_config sets it to {self.model_defaults.values[name]}, and"
                f" {endpoint.target.name} can't override it",
                shown(resolved.values.get(name)),
                "that value, another endpoint, or a server with --generation-config vllm",
                reason="unsupported",
            )
            for name in self._filled(endpoint)
            if native.get(name) != self.model_defaults.values[name]
        )
        if self.vocabulary is not None:
            problems += (
                Problem(
                    "request",
                    f"{name}.{token}",
                    "no such token",
                    allowed=f"ids below {self.vocabulary}",
                )
                for name, token in _token_ids(resolved)
                if token >= self.vocabulary
            )
        if self.speculative:
            spoilt = [s.stage for s in made.residual.steps if "state" in BY_NAME[s.stage].needs]
            spoilt += [f"switch.{number}.on" for number, rule in enumerate(made.residual.switch)
                       if rule.on.kind == "entropy"]  # fmt: skip
            problems += (
                Problem(
                    "request",
                    place,
                    "keeps a state that draft tokens would spoil",
                    allowed="a server without speculative decoding",
                    reason="unsupported",
                )
                for place in dict.fromkeys(spoilt)
            )
        if self.tokens is not None and resolved.modes:
            problems += unmatched(resolved, self.tokens(), "request")
        if problems:
            raise RequestError(problems)

    def _write_generation(
        self,
        changed: dict[str, Any],
        body: Mapping[str, Any],
        resolved: Preset,
        endpoint: Endpoint,
    ) -> None:
        """The request's own value as it stands, for vLLM to judge; else the preset's."""
        for name, spellings in endpoint.generation.items():
            given = (body[spelling] for spelling in spellings if body.get(spelling) is not None)
            value = next(given, resolved.generation.get(name))
            if isinstance(value, tuple) or (name == "stop" and isinstance(value, str)):
                value = [value] if isinstance(value, str) else list(value)
                if name == "eos_token_id":
                    changed.setdefault("ignore_eos", True)
            if value is not None:
                changed[spellings[0]] = value

    def _write_xargs(
        self,
        changed: dict[str, Any],
        body: Mapping[str, Any],
        resolved: Preset,
        made: PresetPlan,
        endpoint: Endpoint,
        label: str,
    ) -> None:
        xargs = body.get("vllm_xargs")
        if xargs is not None and not isinstance(xargs, Mapping):
            raise PresetError(
                Problem("request", "vllm_xargs", "not allowed", shown(xargs), "a map")
            )
        kept = {name: value for name, value in (xargs or {}).items() if name != FIELD}
        given = changed.get("seed")
        ours, engines = seeds(made.residual, given, changed.get("n"))
        if "seed" not in endpoint.generation:
            ours = resolved.generation.get("seed", ours)
        elif engines is not None:
            changed["seed"] = engines
        if made.residual:
            kept[KEY] = encode(made.residual, label, ours)
        if kept:
            changed["vllm_xargs"] = kept
        else:
            changed.pop("vllm_xargs", None)


def _asked(body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """The parameters of the reference documents that a body asks something of.

    A name that is another one's is left out where the body says the same by the endpoint's own.
    """
    return {
        name: body[name]
        for name in sorted(_REFERENCE)
        if body.get(name) is not None
        and not (
            REFERENCE[name].server.how in ("refused", "flag")
            and REFERENCE[name].is_neutral(body[name])
        )
        and not any(
            body.get(spelling) is not None
            for spelling in endpoint.generation.get(REFERENCE[name].field, ())
        )
    }


def _is_native(name: str, value: Any) -> bool:
    reference = REFERENCE_BY_FIELD.get(name)
    if reference is None:
        return True
    return reference.server.how == "native" and not reference.is_neutral(value)


@cache
def _fields(endpoint: Endpoint) -> frozenset[bytes]:
    """The fields that make a request ours: with none of them, and no default, it is not."""
    own = {*_SAMPLING, *_REFERENCE} - endpoint.target.fields.keys() - endpoint.knows
    return frozenset(name.encode() for name in {*own, *MARKERS, FIELD, tracing.FIELD, "vllm_xargs"})


def _token_ids(preset: Preset) -> Iterator[tuple[str, int]]:
    """Every token id that a preset's values name, with the parameter's name."""
    said = [*preset.values.items(), *(one for mode in preset.modes for one in mode.values.items())]
    for name, value in dict.fromkeys(said):
        yield from ((name, token) for token in PARAMETERS[name].kind.token_ids(value))
