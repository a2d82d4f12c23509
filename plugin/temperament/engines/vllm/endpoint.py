"""vLLM's endpoint plugin: it adds the middleware, inside vLLM's authentication, and the routes."""

from __future__ import annotations

import atexit
import os
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger

import temperament
from temperament.engines.vllm import plugins, speculation
from temperament.engines.vllm.meter import MULTIPROCESS, folder_of
from temperament.engines.vllm.parsers import server_marks
from temperament.engines.vllm.sharding import shards_batches
from temperament.engines.vllm.tokenizer import token_bytes
from temperament.errors import PresetError
from temperament.plan.targets import VLLM
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.drawn import drawn_temperatures
from temperament.presets.markers import Marks
from temperament.presets.markers import configs as shipped
from temperament.presets.model_facts import facts_of_config
from temperament.presets.resolve import require_bound
from temperament.presets.temperature_scales import WEIGHTS
from temperament.server import refusals, routes, settings
from temperament.server.admission import Admission
from temperament.server.collecting import collecting
from temperament.server.metrics import Metrics
from temperament.server.middleware import PresetMiddleware
from temperament.server.request_thinking import RequestThinking
from temperament.server.restrictions import Restrictions
from temperament.server.restrictions import problems as restricted
from temperament.server.served import Served
from temperament.server.settings import Settings
from temperament.stages import PARAMETERS

if TYPE_CHECKING:
    from fastapi import FastAPI
    from vllm.config import ModelConfig, VllmConfig
    from vllm.engine.protocol import EngineClient

logger = init_logger("vllm.temperament")

_NONE: Mapping[str, Any] = {}


class TemperamentEndpoint:
    """Loaded by `VLLM_PLUGINS=temperament vllm serve ...`."""

    name = "temperament"
    required_tasks = ("generate",)

    def attach_router(self, app: FastAPI) -> None:
        """Adds the middleware and the routes.

        vLLM calls it before it adds other middleware, so this one runs inside vLLM's.
        """
        self._app = app
        metrics = Metrics()
        self._served = Served(on_reload=lambda ok: metrics.reload(ok=ok))
        app.add_middleware(PresetMiddleware, served=self._served, metrics=metrics)
        app.include_router(routes.router(self._served, logger))

    async def init_state(
        self, engine_client: EngineClient | None, state: Any, args: Namespace
    ) -> None:
        """Loads the presets. vLLM calls it once it knows the engine's configuration.

        An error here ends the server's start.
        """
        if engine_client is None:
            return
        config: VllmConfig = engine_client.vllm_config
        speculation.refuse(config)
        if config.speculative_config is not None and speculation.elsewhere(config):
            await speculation.probe(engine_client)
        chosen = settings.read(config.additional_config)
        marks = server_marks(config, args)
        defaults = getattr(args, "default_chat_template_kwargs", None) or {}
        build = partial(build_admission, config, state, chosen, marks, defaults)
        admission = self._served.start(build)
        self._served.watch(chosen.presets, logger)
        collect(folder_of(config))
        if chosen.playground:
            self._mount_playground(config, admission.catalogue)
        logger.info(first_line(config, admission))
        for line in unreached_modes(admission):
            logger.warning("temperament: %s", line)
        if missing := plugins.left_out(os.environ):
            logger.warning(
                "temperament: VLLM_PLUGINS leaves out installed plugins: %s."
                " `temperament serve MODEL` starts with all of them.",
                ", ".join(missing),
            )

    def _mount_playground(self, config: VllmConfig, catalogue: Catalogue) -> None:
        from vllm.tokenizers import cached_tokenizer_from_config

        from temperament.studio.playground.mount import mount

        model = config.model_config
        mount(self._app, catalogue, model.model, partial(cached_tokenizer_from_config, model))
        logger.info("temperament: the playground is at /playground/")


def first_line(config: VllmConfig, admission: Admission) -> str:
    """Returns the log line that describes the server: runner, model, presets, plan."""
    catalogue, default = admission.catalogue, admission.default
    slow = VLLM.slow.get(admission.platform or "", frozenset())
    native = [] if admission.choice == "residual" else [*VLLM.before, *VLLM.order]
    if admission.choice == "auto":
        native = [name for name in native if name not in slow]
    if speculation.elsewhere(config):
        engines = "engines on other nodes"
    else:
        runner = "V2" if config.use_v2_model_runner else "V1"
        engines = f"{runner} runner on {admission.platform}"
    return (
        f"temperament {temperament.__version__}: {engines};"
        f" model {catalogue.family.title if catalogue.family is not None else 'not known'};"
        f" presets {', '.join(preset.label for preset in admission.offered) or 'none'};"
        f" default {default.label if default is not None else 'none'};"
        f" temperatures drawn: {drawn_temperatures(admission.offered) or 'as they stand'};"
        f" plan {admission.choice}: vLLM does {', '.join(dict.fromkeys(native)) or 'nothing'},"
        f" Temperament does all else"
    )


def unreached_modes(admission: Admission) -> Iterator[str]:
    """Yields a line for each preset with modes whose marks the model can't write."""
    for preset in admission.offered:
        if preset.never:
            yield f"preset {preset.name} {', '.join(preset.never)}"


def collect(folder: Path) -> None:
    """Adds to this process's `/metrics` what the engines' processes count in a folder."""
    from prometheus_client import REGISTRY
    from prometheus_client.multiprocess import MultiProcessCollector

    if os.environ.get(MULTIPROCESS):  # vLLM's registry reads it
        return
    folder.mkdir(exist_ok=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    collector: Any = MultiProcessCollector  # untyped
    collector(REGISTRY, str(folder))


def build_admission(
    config: VllmConfig,
    state: Any,
    chosen: Settings,
    marks: Mapping[str, Marks] = _NONE,
    template_defaults: Mapping[str, Any] = _NONE,
) -> Admission:
    """Reads the presets and returns the `Admission` of this server.

    `state` is the application's state, which has the served models; `marks` are those of the
    server's parsers, `template_defaults` the server's arguments for the chat template. Raises
    `PresetError` with every problem of the presets and of what the operator has set.
    """
    from vllm.platforms import current_platform

    model_config = config.model_config
    entries = model_config.hf_config.to_dict()
    facts = replace(facts_of_config(model_config.model, entries), marks=marks)
    loaded = Catalogue.load(chosen.presets)
    if chosen.temperature_scale == WEIGHTS:
        loaded = loaded.as_they_stand()
    catalogue = loaded.for_model(facts)
    restrictions = Restrictions(
        None if chosen.allow is None else tuple(chosen.allow), chosen.inline, chosen.locked
    )
    sharded = shards_batches(config)
    default = None
    problems = list(restricted(chosen.allow, chosen.locked, catalogue, settings.WHERE))
    with collecting(problems):
        default = _default(chosen, catalogue, restrictions, sharded=sharded)
    if problems:
        raise PresetError(problems)

    def serves(name: str) -> bool:
        models = state.openai_serving_models
        return bool(models.is_base_model(name) or name in models.lora_requests)

    # The default preset, and the operator's presets with modes, must work with the model's
    # tokenizer. The shipped presets are checked when a request names them.
    shipped_folder = str(shipped())
    problems = [
        replace(problem, where=preset.origin or problem.where)
        for preset in catalogue.values()
        if preset is default or (preset.modes and not preset.origin.startswith(shipped_folder))
        for problem in refusals.tokenizer(preset, partial(token_bytes, config))
    ]
    if problems:
        raise PresetError(problems)

    admission = Admission(
        catalogue=catalogue,
        default=default,
        model_defaults=_model_defaults(config.model_config),
        choice=chosen.plan,
        platform=current_platform.device_type,
        vocabulary=config.model_config.get_vocab_size(),
        tokens=partial(token_bytes, config),
        masks=getattr(model_config, "return_sampling_mask", False),
        sharded=sharded,
        serves=serves,
        restrictions=restrictions,
        advertise=chosen.advertise,
    )
    family = catalogue.family
    if family is None or family.thinking is None:
        return admission
    variants = {}
    for thinks in (True, False):
        if family.when(thinks) != family:
            of_request = loaded.for_model(facts, thinks)
            variants[thinks] = replace(
                admission,
                catalogue=of_request,
                default=_default(chosen, of_request, restrictions, sharded=sharded),
            )
    thinking = RequestThinking(family.thinking, template_defaults)
    return replace(admission, thinking=thinking, variants=variants)


def _default(
    chosen: Settings, catalogue: Catalogue, restrictions: Restrictions, *, sharded: bool
) -> Preset | None:
    """Returns the server's default preset, None if it has none.

    `sharded` is whether the ranks share a batch. Raises `PresetError` if the preset can't be bound
    to the model, lies outside of the operator's bounds, or has a state that a rank may lose.
    """
    if chosen.default is None:
        return None
    where = f"{settings.WHERE}.default"
    default = require_bound(catalogue.resolve(chosen.default, where), where)
    problems = list(restrictions.check_values(default))
    if sharded:
        problems += refusals.states(default)
    if problems:
        raise PresetError(replace(problem, where=where) for problem in problems)
    return default


def _model_defaults(model_config: ModelConfig) -> Any:
    values = {
        name: value
        for name, value in model_config.get_diff_sampling_param().items()
        if name in PARAMETERS and name in VLLM.fields
    }
    return as_preset(values, Catalogue({}))
