"""vLLM's endpoint plugin: puts the middleware inside authentication and adds our routes."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger

import temperament
from temperament.engines.vllm.params import token_bytes
from temperament.errors import PresetError
from temperament.plan.machine import unmatched
from temperament.plan.targets import VLLM
from temperament.presets import Catalogue, as_preset
from temperament.presets.catalogue import usable
from temperament.presets.markers import configs as shipped
from temperament.presets.models import facts_of_config
from temperament.server import routes, settings
from temperament.server.admission import Admission
from temperament.server.middleware import PresetMiddleware
from temperament.server.restrictions import Restrictions
from temperament.server.restrictions import problems as restricted
from temperament.stages import PARAMETERS

if TYPE_CHECKING:
    from fastapi import FastAPI
    from vllm.config import ModelConfig, VllmConfig
    from vllm.engine.protocol import EngineClient

logger = init_logger("vllm.temperament")


class TemperamentEndpoint:
    """Loaded by `VLLM_PLUGINS=temperament vllm serve ...`."""

    name = "temperament"
    required_tasks = ("generate",)

    def __init__(self) -> None:
        self._admission: Admission | None = None

    def attach_router(self, app: FastAPI) -> None:
        """Called while the app is built, before vLLM adds its own middleware: ours is inside."""
        self._app = app
        app.add_middleware(PresetMiddleware, admission=lambda: self._admission)
        app.include_router(routes.router(lambda: self._admission))

    async def init_state(
        self, engine_client: EngineClient | None, state: Any, args: Namespace
    ) -> None:
        """Called when the engine's configuration is known. What is wrong here ends the start."""
        if engine_client is None:
            return
        config: VllmConfig = engine_client.vllm_config
        admission = make_admission(config, state)
        self._admission = admission
        if settings.read(config.additional_config).playground:
            self._mount_playground(config, admission.catalogue)
        default = admission.default.label if admission.default is not None else "none"
        logger.info(
            "temperament %s: model %s; presets %s; default %s; plan %s on %s",
            temperament.__version__,
            family.title if (family := admission.catalogue.family) is not None else "not known",
            ", ".join(preset.label for preset in admission.catalogue.values()),
            default,
            admission.choice,
            admission.platform,
        )

    def _mount_playground(self, config: VllmConfig, catalogue: Catalogue) -> None:
        from vllm.tokenizers import cached_tokenizer_from_config

        from temperament.studio.playground.mount import mount

        model = config.model_config
        mount(self._app, catalogue, model.model, partial(cached_tokenizer_from_config, model))
        logger.info("temperament: the playground is at /playground/")


def make_admission(config: VllmConfig, state: Any) -> Admission:
    """What admitting a request on this server depends on. Raises `PresetError`."""
    from vllm.platforms import current_platform

    chosen = settings.read(config.additional_config)
    model_config = config.model_config
    entries = model_config.hf_config.to_dict()
    catalogue = Catalogue.load(chosen.presets).for_model(
        facts_of_config(model_config.model, entries)
    )
    restrictions = Restrictions(
        None if chosen.allow is None else tuple(chosen.allow), chosen.inline, chosen.locked
    )
    wrong = list(restricted(chosen.allow, chosen.locked, catalogue, settings.WHERE))
    if wrong:
        raise PresetError(wrong)
    default = None
    if chosen.default is not None:
        where = f"{settings.WHERE}.default"
        default = usable(catalogue.resolve(chosen.default, where), where)
        if beyond := list(restrictions.drawn(default)):
            raise PresetError(replace(problem, where=where) for problem in beyond)

    def serves(name: str) -> bool:
        models = state.openai_serving_models
        return bool(models.is_base_model(name) or name in models.lora_requests)

    # What can never match is told now, but of the presets that come with the package.
    ours = str(shipped())
    own = [p for p in catalogue.values() if p is default or not p.origin.startswith(ours)]
    problems = [
        problem
        for preset in own
        if preset.modes
        for problem in unmatched(preset, token_bytes(config), preset.origin)
    ]
    if problems:
        raise PresetError(problems)

    return Admission(
        catalogue=catalogue,
        default=default,
        model_defaults=_model_defaults(config.model_config),
        choice=chosen.plan,
        platform=current_platform.device_type,
        vocabulary=config.model_config.get_vocab_size(),
        tokens=partial(token_bytes, config),
        speculative=config.speculative_config is not None,
        serves=serves,
        restrictions=restrictions,
    )


def _model_defaults(model_config: ModelConfig) -> Any:
    values = {
        name: value
        for name, value in model_config.get_diff_sampling_param().items()
        if name in PARAMETERS and name in VLLM.fields
    }
    return as_preset(values, Catalogue({}))
