"""The body that vLLM reads: the native fields, the generation fields and the residual chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temperament.plan import PresetPlan, encode
from temperament.plan.wire import KEY
from temperament.presets import Preset
from temperament.presets.generation_fields import NO_SEED
from temperament.server.endpoints import Endpoint
from temperament.server.plugin_fields import XARGS, generation_fields
from temperament.server.selection import FIELD
from temperament.server.trace import FIELD as TRACE


def write_body(
    body: Mapping[str, Any],
    fields: Mapping[str, Any],
    preset: Preset,
    plan: PresetPlan,
    endpoint: Endpoint,
    *,
    label: str,
    top_k: int | None = None,
) -> dict[str, Any]:
    """Returns a new body, with which vLLM samples by `preset`.

    `fields` are the request's sampling fields: `preset` contains them, so the new body doesn't.
    `label` names the preset in the workers' logs. `top_k` is vLLM's own beside a residual one.
    """
    left_out = {FIELD, TRACE, *fields}
    changed = {name: value for name, value in body.items() if name not in left_out}
    changed.update((name, value) for name, value in plan.native.items() if value is not None)
    if top_k is not None:
        changed["top_k"] = top_k
    _write_generation(changed, body, preset, endpoint)
    _write_xargs(changed, body, preset, plan, endpoint, label)
    return changed


def _write_generation(
    changed: dict[str, Any], body: Mapping[str, Any], preset: Preset, endpoint: Endpoint
) -> None:
    """Writes the generation fields, each under the endpoint's first spelling.

    A value in the request is copied unchecked, since vLLM checks it; otherwise the preset's is.
    """
    values = {**preset.generation, **generation_fields(body, endpoint)}
    for name, spellings in endpoint.generation.items():
        value = values.get(name)
        if isinstance(value, tuple) or (name == "stop" and isinstance(value, str)):
            value = [value] if isinstance(value, str) else list(value)
            for other, needed in endpoint.target.route(name).sets.items():
                changed.setdefault(other, needed)
        if value is not None:
            changed[spellings[0]] = value


def _write_xargs(
    changed: dict[str, Any],
    body: Mapping[str, Any],
    preset: Preset,
    plan: PresetPlan,
    endpoint: Endpoint,
    label: str,
) -> None:
    """Writes the residual chain; the client's other `vllm_xargs` stay."""
    xargs = {name: value for name, value in (body.get(XARGS) or {}).items() if name != FIELD}
    if plan.residual:
        seed = None if "seed" in endpoint.generation else preset.generation.get("seed")
        xargs[KEY] = encode(plan.residual, label, None if seed == NO_SEED else seed)
    if xargs:
        changed[XARGS] = xargs
    else:
        changed.pop(XARGS, None)
