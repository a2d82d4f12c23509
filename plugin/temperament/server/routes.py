"""The plugin's routes: the presets that can be named, their plans, and a reload of the files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

import temperament
from temperament.errors import UnknownPreset
from temperament.plan import Plan
from temperament.presets import Preset
from temperament.presets.drawn import stated_temperatures
from temperament.presets.groups import in_groups
from temperament.presets.mode_checks import first_mode
from temperament.presets.plain import plain_value, plain_values
from temperament.presets.temperature_scales import MODEL
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS, Endpoint
from temperament.server.served import Log, Served


def router(served: Served, log: Log) -> APIRouter:
    """Returns the routes. Until the server has started they answer 503."""
    routes = APIRouter(tags=["presets"])

    @routes.get("/v1/presets", summary="The presets that a request can name")
    async def list_presets() -> JSONResponse:
        admission = served.admission
        if admission is None:
            return _error(503, "the server is starting")
        default = admission.default.name if admission.default is not None else None
        return JSONResponse(
            {
                "object": "list",
                "version": temperament.__version__,
                "default": default,
                # the layers under every request: the default preset and the model's values
                "below": summary(admission.over_defaults(Preset("below"))),
                "data": [
                    {**summary(preset), "group": group.name}
                    for group, presets in in_groups(admission.offered)
                    for preset in presets
                ],
                # when the files were read, and the problems that kept a later reload out
                "loaded": served.loaded,
                "problems": [str(problem) for problem in served.problems],
            }
        )

    @routes.post("/v1/presets/reload", summary="Reads the preset files again")
    async def reload_presets() -> JSONResponse:
        if served.admission is None:
            return _error(503, "the server is starting")
        if not await served.renew(log):
            problems = "\n".join(str(problem) for problem in served.problems)
            return _error(400, f"the presets stay as they were: {problems}", "BadRequestError")
        return JSONResponse({"object": "reload", "loaded": served.loaded})

    @routes.get("/v1/presets/{name}", summary="One preset, with its plan on this server")
    async def show_preset(name: str) -> JSONResponse:
        admission = served.admission
        if admission is None:
            return _error(503, "the server is starting")
        try:
            preset = admission.catalogue.resolve(name)
        except UnknownPreset as error:
            return _error(404, str(error))
        if forbidden := list(
            admission.restrictions.check_name(preset, "preset", admission.catalogue)
        ):
            return _error(404, str(forbidden[0]))
        plans = {
            path: plan(admission, preset, endpoint)
            for path, endpoint in ENDPOINTS.items()
            if not endpoint.unsupported
        }
        return JSONResponse(
            {**summary(preset), "plan": plans["/v1/chat/completions"], "plans": plans}
        )

    return routes


def summary(preset: Preset) -> dict[str, Any]:
    """Returns a preset as JSON: `parameters` and `modes` as text is drawn with them."""
    stated = {
        each.mode or "preset": {
            "temperature": plain_value("temperature", each.value),
            "temperature_scale": each.scale,
        }
        for each in stated_temperatures(preset)
        if each.scale != MODEL
    }
    reasons, unbound = preset.reasons, preset.unbound
    preset = preset.drawn
    return {
        "name": preset.name,
        "digest": preset.digest,
        "summary": dict(preset.summary),
        "aliases": list(preset.aliases),
        "parameters": plain_values(preset.values),
        # mode -> its temperature as the file states it on a scale; "preset" is outside of modes
        **({"stated": stated} if stated else {}),
        "order": list(preset.order),
        **(_modes(preset) if preset.modes else {}),
        "generation": plain_values(preset.generation),
        "source": preset.source,
        # what was bound to the model or can't be, and how temperatures were converted
        "notes": reasons,
        # why no request can use it here, if none can
        **({"unbound": unbound} if unbound else {}),
        **({"alone": True} if preset.alone else {}),
        **({"pick": [rule.plain() for rule in preset.pick]} if preset.pick else {}),
    }


def plan(admission: Admission, preset: Preset, endpoint: Endpoint) -> dict[str, Any]:
    """Returns where each stage of a preset runs, as JSON."""
    preset_plan = admission.plan(preset, endpoint)
    plans = {name: _plan_as_json(mode_plan) for name, mode_plan in preset_plan.plans.items()}
    return plans.get("", {"modes": plans})


def _plan_as_json(mode_plan: Plan) -> dict[str, Any]:
    return {
        "native": {k: v for k, v in mode_plan.native.items() if v is not None},
        "residual": list(mode_plan.residual.names),
        "stages": [
            {
                "stage": d.step.stage,
                "values": plain_values(dict(d.step.values)),
                "runs": d.side,
                "reason": d.reason,
            }
            for d in mode_plan.decisions
        ],
    }


def _modes(preset: Preset) -> dict[str, Any]:
    orders = {m.name: {"order": list(m.order)} if m.order else {} for m in preset.modes}
    modes = {m.name: {**plain_values(m.values), **orders[m.name]} for m in preset.modes}
    return {
        "modes": modes,
        "start": first_mode(preset) if preset.start == "" else preset.start,
        "switch": [rule.plain() for rule in preset.switch],
    }


def _error(status: int, message: str, kind: str = "NotFoundError") -> JSONResponse:
    return JSONResponse(
        {"error": {"message": message, "type": kind, "param": None, "code": status}},
        status_code=status,
    )
