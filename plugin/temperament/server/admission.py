"""Turns a request's body into the body that vLLM reads.

The layers, from the top: the request's fields, the named preset, the server's default preset,
the model's `generation_config.json`. A request without any field of Temperament stays as it is,
unless the server has a default preset or locks parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from temperament.errors import Problem, RequestError, TemperamentError
from temperament.plan import Choice, PresetPlan, split_preset
from temperament.plan.unseen import blind_to_embeddings
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset
from temperament.presets.parsing import too_large
from temperament.presets.picking import verdicts
from temperament.presets.resolve import merge, parse_fields, resolve
from temperament.presets.token_ids import unknown_tokens
from temperament.server import refusals, trace
from temperament.server.body import write_body
from temperament.server.endpoints import Endpoint
from temperament.server.fields import (
    SEARCH,
    generation_fields,
    has_plugin_fields,
    plugin_fields,
    sampling_fields,
)
from temperament.server.request_facts import facts_of
from temperament.server.restrictions import Restrictions, inline_size
from temperament.server.scan import may_have_plugin_fields
from temperament.server.selection import Selection, select
from temperament.server.thinking import RequestThinking
from temperament.server.trace import Trace

EMBEDDINGS = "prompt_embeds"  # vLLM's field for a prompt without tokens
MAX_PLANS = 1024  # plans that are kept, one for each combination of preset and fields
MAX_KEPT = 4096  # characters of the fields as JSON: larger plans would fill the memory


@dataclass(frozen=True, slots=True)
class Admitted:
    """The body for vLLM, and what is added to the answer."""

    body: dict[str, Any]
    # the preset's `name@digest`, None without a preset
    label: str | None
    # set if the request asks for the modes of the answer
    trace: Trace | None = None
    # what isn't honoured: fields of another program's body, stages that can't see the prompt
    warning: str = ""
    # the model's name in the answer, "" if vLLM's name stays
    model: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request's resolved layers, their plan, and the reasons for a refusal, if there are any."""

    preset: Preset
    plan: PresetPlan
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The preset over the default's values, and what the answer's header says."""

    # None: the default alone
    preset: Preset | None
    # `name@digest`, or `auto>name@digest` for a preset that was picked; "" without a preset
    label: str


_Key = tuple[str | None, str, Endpoint]


def _serves_nothing(_name: str) -> bool:
    return False


@dataclass(frozen=True)
class Admission:
    """Everything that admitting a request depends on, fixed when the server starts."""

    catalogue: Catalogue
    default: Preset | None = None
    # the values of the model's generation_config.json
    model_defaults: Preset = field(default_factory=lambda: Preset("model"))
    choice: Choice = "auto"
    platform: str | None = None
    # the number of the model's tokens
    vocabulary: int | None = None
    # reads the tokens' bytes, for stages and triggers that match texts
    tokens: Callable[[], TokenBytes] | None = None
    # whether the server returns sampling masks, for which vLLM needs a top_k of its own
    masks: bool = False
    # whether each tensor-parallel rank draws the tokens of some requests only
    sharded: bool = False
    serves: Callable[[str], bool] = _serves_nothing
    restrictions: Restrictions = field(default_factory=Restrictions)
    # whether `GET /v1/models` also lists MODEL:PRESET
    advertise: bool = False
    # reads from a request whether the model thinks; None if nothing depends on that
    thinking: RequestThinking | None = None
    # the same server for requests with thinking and without it, where it differs
    variants: Mapping[bool, Admission] = field(default_factory=dict)
    _plans: dict[_Key, Planned] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def offered(self) -> list[Preset]:
        """The presets that a request can name."""
        return [preset for preset in self.catalogue.values() if self.restrictions.allows(preset)]

    def over_defaults(self, preset: Preset) -> Preset:
        """Returns `preset` merged over the server's default preset and the model's values."""
        return merge(preset, self.default).over_model(self.model_defaults)

    def plan(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        """Returns where each stage of a preset runs on this server."""
        return self._split(self.over_defaults(preset), endpoint)

    def may_change(self, raw: bytes, endpoint: Endpoint) -> bool:
        """Whether `admit` may change or refuse a body, judged by its bytes alone."""
        return self.handles_all or may_have_plugin_fields(raw, plugin_fields(endpoint))

    def admit(
        self, body: dict[str, Any], header: str | None, endpoint: Endpoint
    ) -> Admitted | None:
        """Returns the body for vLLM; None if it stays as it is.

        `header` is the text of the header that names a preset. Raises `RequestError` or
        `PresetError` with every problem.
        """
        if self.thinking is not None and self.variants:
            variant = self.variants.get(self.thinking.thinks(body))  # type: ignore[arg-type]
            if variant is not None:
                return variant.admit(body, header, endpoint)
        problems: list[Problem] = []
        selection = Selection(None, body.get("model"))
        with _collecting(problems):
            selection = select(body, header, self.catalogue, self.serves, self.restrictions)
        selected = not problems
        problems += refusals.reserved_xargs(body)
        fields = sampling_fields(body, endpoint)
        if body.get(SEARCH):
            self._check_search(body, selection, fields, endpoint, problems)
            return None
        if not (problems or self._handles(body, selection, fields, endpoint)):
            return None
        if endpoint.unsupported:
            problems.append(refusals.unsupported(endpoint.unsupported))
        problems += refusals.malformed_xargs(body)
        problems += self.restrictions.check_parents(fields, self.catalogue)
        if self.restrictions.locked:
            problems += self.restrictions.check_parameters(
                _requested_parameters(body, fields, endpoint)
            )
        if problems:
            with _collecting(problems):
                if selected and not endpoint.unsupported:
                    chosen = self._chosen(body, selection.preset, fields, endpoint)
                    self._checked(body, chosen.preset, fields, endpoint)
                else:  # no preset is known, or none can act: the request's fields alone
                    _parse_layer(fields)
            _raise(problems)
        chosen = self._chosen(body, selection.preset, fields, endpoint)
        planned = self._checked(body, chosen.preset, fields, endpoint)
        label = chosen.label or None
        plan = planned.plan
        new = write_body(
            body,
            fields,
            planned.preset,
            plan,
            endpoint,
            label=label or "request",
            top_k=plan.residual.most_tokens if self.masks and not plan.native["top_k"] else None,
        )
        if "model" in body:
            new["model"] = selection.model
        traced = None
        if body.get(trace.FIELD):
            assert self.tokens is not None
            traced = Trace.of(planned.preset, self.tokens(), keeps_ids=body.get(trace.IDS) is True)
            new[trace.IDS] = True
        embedded = body.get(EMBEDDINGS) is not None
        warning = blind_to_embeddings(planned.preset, EMBEDDINGS) if embedded else ""
        return Admitted(new, label, traced, warning, selection.alias)

    def _chosen(
        self,
        body: Mapping[str, Any],
        named: Preset | None,
        fields: Mapping[str, Any],
        endpoint: Endpoint,
    ) -> Chosen:
        """Returns the preset that a request is sampled with, over the default's values.

        It is the one that the request names, or what that one, or the default, picks.
        """
        chooser = named or self.default
        if chooser is None or not chooser.pick:
            return Chosen(named, chooser.label if chooser is not None else "")

        def barred(name: str) -> str:
            return self._why_barred(self.catalogue.resolve(name), body, fields, endpoint)

        own = replace(chooser, pick=())  # what the chooser sets itself is the layer below
        for verdict in verdicts(chooser, facts_of(body), barred):
            if verdict.outcome == "taken":
                picked = self.catalogue.resolve(verdict.rule.preset)
                below = own if own.plain() or own.alone else None
                return Chosen(merge(picked, below), f"{chooser.name}>{picked.label}")
        return Chosen(None if named is None else own, chooser.label)

    def _why_barred(
        self,
        preset: Preset,
        body: Mapping[str, Any],
        fields: Mapping[str, Any],
        endpoint: Endpoint,
    ) -> str:
        """Returns why a rule can't pick a preset for this request, "" if it can."""
        problems = list(self.restrictions.check_name(preset, "preset", self.catalogue))
        if not problems:
            with _collecting(problems):
                self._checked(body, preset, fields, endpoint)
        return problems[0].message if problems else ""

    @property
    def handles_all(self) -> bool:
        """Whether a default preset or a lock applies to every request."""
        return self.default is not None or bool(self.restrictions.locked)

    def _handles(
        self,
        body: Mapping[str, Any],
        selection: Selection,
        fields: Mapping[str, Any],
        endpoint: Endpoint,
    ) -> bool:
        """Whether the request names a preset, has a field of Temperament, or all are handled."""
        return (
            self.handles_all
            or selection.preset is not None
            or body.get(trace.FIELD) is not None
            or has_plugin_fields(fields, endpoint)
        )

    def _check_search(
        self,
        body: Mapping[str, Any],
        selection: Selection,
        fields: Mapping[str, Any],
        endpoint: Endpoint,
        problems: list[Problem],
    ) -> None:
        """Raises `RequestError` for beam search with the plugin's fields or against a restriction.

        The server's default preset doesn't act on beam search.
        """
        if selection.preset is not None or has_plugin_fields(fields, endpoint):
            problems.append(refusals.beam_search())
        if self.restrictions.locked:
            problems += self.restrictions.check_parameters(
                _requested_parameters(body, fields, endpoint)
            )
            with _collecting(problems):
                searched = parse_fields(fields, refusals.WHERE).over_model(self.model_defaults)
                problems += self._out_of_bounds(body, searched, endpoint)
        _raise(problems)

    def _checked(
        self,
        body: Mapping[str, Any],
        preset: Preset | None,
        fields: Mapping[str, Any],
        endpoint: Endpoint,
    ) -> Planned:
        """Returns the plan of a request.

        Raises `RequestError` or `PresetError` with every reason against sampling with it.
        """
        planned = self._plan_request(preset, fields, endpoint)
        _raise(
            chain(
                planned.problems,
                self._out_of_bounds(body, planned.preset, endpoint),
                trace.problems(
                    body, planned.preset, endpoint, tokens_known=self.tokens is not None
                ),
            )
        )
        return planned

    def _plan_request(
        self, preset: Preset | None, fields: Mapping[str, Any], endpoint: Endpoint
    ) -> Planned:
        """Returns the plan of a request. The same fields are resolved and planned once."""
        key = self._plan_key(preset, fields, endpoint)
        if key is not None and key in self._plans:
            return self._plans[key]
        resolved = resolve(
            preset,
            self.catalogue,
            fields=_parse_layer(fields),
            default=None if self.default is None else replace(self.default, pick=()),
            model_values=self.model_defaults,
            where=refusals.WHERE,
        )
        plan = self._split(resolved, endpoint)
        planned = Planned(resolved, plan, tuple(self._refusals(resolved, plan, endpoint)))
        if key is not None and not planned.problems:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[key] = planned
        return planned

    def _plan_key(
        self, preset: Preset | None, fields: Mapping[str, Any], endpoint: Endpoint
    ) -> _Key | None:
        """Returns the key of a request's plan; None if the fields are too large to keep."""
        name = None
        if preset is not None:
            listed = self.catalogue.get(preset.name) is preset
            name = preset.name if listed else preset.label
        if too_large(fields):
            return None
        with suppress(RecursionError):
            text = json.dumps(fields)  # as text, 1, 1.0 and true differ
            return (name, text, endpoint) if len(text) <= MAX_KEPT else None
        return None

    def _split(self, preset: Preset, endpoint: Endpoint) -> PresetPlan:
        target = endpoint.target_with(self.model_defaults)
        return split_preset(preset, target, self.choice, self.platform)

    def _refusals(self, preset: Preset, plan: PresetPlan, endpoint: Endpoint) -> Iterator[Problem]:
        yield from refusals.generation(preset, plan, endpoint)
        yield from refusals.model_values(preset, plan, endpoint, self.model_defaults)
        if self.vocabulary is not None:
            yield from unknown_tokens(preset, self.vocabulary, refusals.WHERE)
        if self.masks:
            yield from refusals.sampling_mask(plan)
        if self.sharded:
            yield from refusals.states(preset)
        if self.tokens is not None:
            yield from refusals.tokenizer(preset, self.tokens)

    def _out_of_bounds(
        self, body: Mapping[str, Any], preset: Preset, endpoint: Endpoint
    ) -> Iterator[Problem]:
        """Yields the values outside the operator's bounds, whichever layer sets them."""
        if self.restrictions.locked:
            generation = {**preset.generation, **generation_fields(body, endpoint)}
            yield from self.restrictions.check_values(preset)
            yield from self.restrictions.check_generation(generation)


def _parse_layer(fields: Mapping[str, Any]) -> Preset | None:
    """Returns the request's fields as a layer, None if there are none.

    Raises `PresetError` or `RequestError` with every problem.
    """
    if not fields:
        return None
    preset = parse_fields(fields, refusals.WHERE)
    _raise(inline_size(preset))
    return preset


def _requested_parameters(
    body: Mapping[str, Any], fields: Mapping[str, Any], endpoint: Endpoint
) -> dict[str, Any]:
    """Returns every parameter that the request sets."""
    return {**fields, **generation_fields(body, endpoint)}


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    """Adds the problems of an error that is raised inside."""
    try:
        yield
    except TemperamentError as error:
        problems += error.problems


def _raise(problems: Iterator[Problem] | list[Problem]) -> None:
    """Raises `RequestError` if there are problems, each once."""
    if found := dict.fromkeys(problems):
        raise RequestError(found)
