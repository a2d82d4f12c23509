"""`GET /v1/presets` and `GET /v1/presets/{name}`: what can be named here, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

import temperament
from temperament.errors import UnknownPreset
from temperament.plan import Plan
from temperament.presets import Preset
from temperament.presets.schedule import Schedule
from temperament.presets.switching import first
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS, Endpoint


def router(admission: Callable[[], Admission | None]) -> APIRouter:
    """The routes; `admission` returns None until the server has started."""
    routes = APIRouter(tags=["presets"])

    @routes.get("/v1/presets", summary="The presets that a request can name")
    async def list_presets() -> JSONResponse:
        admitted = admission()
        if admitted is None:
            return _error(503, "the server is starting")
        default = admitted.default.name if admitted.default is not None else None
        return JSONResponse(
            {
                "object": "list",
                "version": temperament.__version__,
                "default": default,
                # what lies below each request: the default preset and the model's own values
                "below": summary(admitted.below(Preset("below"))),
                "data": [summary(preset) for preset in admitted.catalogue.values()],
            }
        )

    @routes.get("/v1/presets/{name}", summary="One preset, with its plan on this server")
    async def show_preset(name: str) -> JSONResponse:
        admitted = admission()
        if admitted is None:
            return _error(503, "the server is starting")
        try:
            preset = admitted.catalogue.resolve(name)
        except UnknownPreset as error:
            return _error(404, str(error))
        plans = {path: plan(admitted, preset, endpoint) for path, endpoint in ENDPOINTS.items()}
        return JSONResponse(
            {**summary(preset), "plan": plans["/v1/chat/completions"], "plans": plans}
        )

    return routes


def summary(preset: Preset) -> dict[str, Any]:
    """A preset as JSON."""
    return {
        "name": preset.name,
        "digest": preset.digest,
        "summary": dict(preset.summary),
        "aliases": list(preset.aliases),
        "parameters": _plain(preset.values),
        "order": list(preset.order),
        **(_modes(preset) if preset.modes else {}),
        "generation": _plain(preset.generation),
        "source": preset.source,
        # what the model's vendor settled, or why it can't be drawn with here
        "notes": [*preset.notes, *filter(None, [preset.unsettled])],
    }


def plan(admission: Admission, preset: Preset, endpoint: Endpoint) -> dict[str, Any]:
    """Where each stage of a preset runs, as JSON."""
    made = admission.plan(preset, endpoint)
    plans = {name: _one_plan(one) for name, one in made.plans.items()}
    return plans.get("", {"modes": plans})


def _one_plan(made: Plan) -> dict[str, Any]:
    return {
        "native": {k: v for k, v in made.native.items() if v is not None},
        "residual": list(made.residual.names),
        "stages": [
            {
                "stage": d.step.stage,
                "values": _plain(dict(d.step.values)),
                "runs": d.side,
                "reason": d.reason,
            }
            for d in made.decisions
        ],
    }


def _modes(preset: Preset) -> dict[str, Any]:
    orders = {m.name: {"order": list(m.order)} if m.order else {} for m in preset.modes}
    modes = {m.name: {**_plain(m.values), **orders[m.name]} for m in preset.modes}
    return {"modes": modes, "start": first(preset) if preset.start == "" else preset.start,
            "switch": [rule.words for rule in preset.switch]}  # fmt: skip


def _plain(values: Any) -> dict[str, Any]:
    return {
        name: dict(value) if name == "logit_bias"
        else value.words if isinstance(value, Schedule) else value
        for name, value in values.items()
    }  # fmt: skip


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse(
        {"error": {"message": message, "type": "NotFoundError", "param": None, "code": status}},
        status_code=status,
    )
