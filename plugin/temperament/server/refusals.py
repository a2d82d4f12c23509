"""Why a request is refused, each reason by itself: all of them are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from temperament.errors import EngineError, Problem, shown
from temperament.plan import PresetPlan
from temperament.plan.automata.mode_automaton import Switching, unmatched
from temperament.plan.documented import BY_FIELD, refusals
from temperament.plan.vocabulary import TokenBytes
from temperament.plan.wire import KEY
from temperament.presets import Preset
from temperament.presets.generation_fields import NO_SEED
from temperament.server.endpoints import Endpoint
from temperament.server.plugin_fields import SEARCH, XARGS
from temperament.stages import BY_NAME

WHERE = "request"


def reserved_xargs(body: Mapping[str, Any]) -> Iterator[Problem]:
    """A residual chain in `vllm_xargs` that the client wrote: it would pass unchecked."""
    xargs = body.get(XARGS)
    if isinstance(xargs, Mapping) and KEY in xargs:
        yield Problem(
            WHERE,
            f"{XARGS}.{KEY}",
            "is written by the server, not by a request",
            allowed="the same parameters as fields of the body",
        )


def malformed_xargs(body: Mapping[str, Any]) -> Iterator[Problem]:
    """`vllm_xargs` into which no chain can be written."""
    xargs = body.get(XARGS)
    if xargs is not None and not isinstance(xargs, Mapping):
        yield Problem(WHERE, XARGS, "not allowed", shown(xargs), "a map")


def unsupported(reason: str, path: str = "") -> Problem:
    """A route that draws tokens and on which no preset acts."""
    return Problem(
        WHERE,
        path,
        f"no preset can be applied on this route: it {reason}",
        allowed="a route that takes presets, or a server without a default preset and locks",
        reason="unsupported",
    )


def beam_search() -> Problem:
    """A preset, or fields of the plugin, beside `use_beam_search`."""
    return Problem(
        WHERE,
        SEARCH,
        "beam search doesn't sample: a preset has no meaning there",
        "true",
        "false, or no preset",
        reason="contradiction",
    )


def generation(preset: Preset, plan: PresetPlan, endpoint: Endpoint) -> Iterator[Problem]:
    """Yields generation fields that the server can't honour, or that the endpoint doesn't have."""
    yield from refusals(preset.generation, endpoint.target, WHERE)
    # If a residual stage draws the token, the seed is used there.
    seeded = any(BY_NAME[stage].draws for stage in plan.residual.names)
    for name, value in preset.generation.items():
        if (
            _is_native(name, value, endpoint)
            and name not in endpoint.generation
            and not (name == "seed" and seeded)
        ):
            message = f"can't be set on {endpoint.target.name}"
            yield Problem(WHERE, name, message, shown(value), reason="unsupported")


def _is_native(name: str, value: Any, endpoint: Endpoint) -> bool:
    """Whether vLLM has the field and the value isn't neutral."""
    unseeded = name == "seed" and value == NO_SEED
    neutral = unseeded or (name in BY_FIELD and BY_FIELD[name].is_neutral(value))
    return endpoint.target.route(name).how == "native" and not neutral


def model_values(
    preset: Preset, plan: PresetPlan, endpoint: Endpoint, model: Preset
) -> Iterator[Problem]:
    """Values other than the model's, where vLLM fills in the model's and takes no other."""
    native = plan.native_values
    for name in endpoint.filled_in(model):
        value = model.values[name]
        if native.get(name) != value:
            yield Problem(
                WHERE,
                name,
                f"the model's generation_config sets it to {value}, and"
                f" {endpoint.target.name} can't override it",
                shown(preset.values.get(name)),
                "that value, another endpoint, or a server with --generation-config vllm",
                reason="unsupported",
            )


def states(preset: Preset) -> Iterator[Problem]:
    """Stages and triggers with a state from step to step, on a server whose ranks share a batch.

    Only the rank that draws a request's tokens has its state, and a request that was preempted may
    come back to another rank.
    """
    steps = (step for chain in preset.chains.values() for step in chain.steps)
    paths = [step.stage for step in steps if "state" in BY_NAME[step.stage].needs]
    paths += [
        f"switch.{number}.on"
        for number, rule in enumerate(preset.switch)
        if rule.on.kind == "entropy"
    ]
    for path in dict.fromkeys(paths):
        yield Problem(
            WHERE,
            path,
            "keeps a state, which a preempted request loses if another rank goes on with it",
            allowed="a server without --enable-batch-sharded-sampling",
            reason="unsupported",
        )


def sampling_mask(plan: PresetPlan) -> Iterator[Problem]:
    """What vLLM asks of a request on a server with `--return-sampling-mask`."""
    reason = "this server returns sampling masks"
    if plan.native["temperature"] == 0:
        message = f"must be above 0: {reason}"
        yield Problem(WHERE, "temperature", message, "0", "above 0", reason="unsupported")
    if not plan.native["top_k"] and plan.residual.most_tokens is None:
        yield Problem(
            WHERE,
            "top_k",
            f"is needed in every mode: {reason}",
            "none",
            "at least 1",
            reason="unsupported",
        )


def matching(preset: Preset) -> list[str]:
    """Returns the stages of a preset that match texts, and `switch` if it has modes."""
    stages = {
        step.stage: None
        for chain in preset.chains.values()
        for step in chain.steps
        if BY_NAME[step.stage].why_tokenizer(dict(step.values))
    }
    return [*stages, *["switch"] * (Switching.of(preset) is not None)]


def tokenizer(preset: Preset, tokens: Callable[[], TokenBytes]) -> Iterator[Problem]:
    """Stages and rules that match texts, on a tokenizer whose tokens' bytes can't be known.

    Then triggers that no text of the model's tokens can match. `tokens` reads the tokenizer.
    """
    paths = matching(preset)
    if not paths:
        return
    try:
        table = tokens()
    except EngineError as error:
        for path in paths:
            yield from (replace(problem, where=WHERE, path=path) for problem in error.problems)
        return
    yield from unmatched(preset, table, WHERE)
