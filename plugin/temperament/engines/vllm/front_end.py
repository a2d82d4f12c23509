"""Which front end stands before the engine, seen from the engine's processes.

The operator's default preset and restrictions apply where vLLM's Python server loads the endpoint
plugin. These ways to start vLLM load none (read in vLLM 0.32.0 and 0.33.0):

| start | calls the `validate_params` of Temperament |
| --- | --- |
| `vllm serve` with `VLLM_USE_RUST_FRONTEND=1` | no |
| `vllm-rs serve`, which starts a headless engine | no |
| `vllm serve --grpc` | yes |
| `vllm run-batch` | yes |
| any, if `VLLM_PLUGINS` doesn't name the plugin | yes |

The file of a batch is read here, before it runs.

An engine's process has the arguments and the environment of the process that started it. Processes
that Ray starts have vLLM's environment variables alone. So `validate_params`, which is called in
the front end's process, checks the arguments a second time.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from vllm.logger import init_logger

from temperament.engines.vllm import batch_file, plugins
from temperament.engines.vllm.batch_file import BATCH
from temperament.errors import MOST, EngineError, Problem, RequestError
from temperament.server import settings

if TYPE_CHECKING:
    from vllm.config import VllmConfig

RUST = "VLLM_USE_RUST_FRONTEND"
RUST_MANAGER = "vllm-rs"
COMMAND_LINE = ("vllm", "main")  # `vllm ...`, `python -m vllm.entrypoints.cli.main ...`
CONFIG = "--additional-config"
MODULES = ("run_batch", "grpc_server")
OTHERS = ("api_server", "bench", "launch")

logger = init_logger("vllm.temperament")


def check(
    config: VllmConfig,
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Raises `EngineError` if the operator's settings can't apply behind this front end.

    The same for a batch whose file names presets. Another front end that reads none is reported in
    the log. `arguments` and `environment` are those of this process by default.
    """
    arguments = _expanded(sys.argv if arguments is None else arguments)
    environment = os.environ if environment is None else environment
    if problems := list(_ignored_settings(arguments)):
        raise EngineError(problems)
    start = _without_plugins(arguments, environment)
    if "--headless" in arguments:
        if is_below(RUST_MANAGER):
            start = f"{RUST_MANAGER} serve"
        if not start:  # the front end is on another node
            return
    promises = settings.read(config.additional_config).promises
    problems = []
    if promises and (start or not plugins.ours_is_named(environment)):
        problems.append(
            _unkept(promises, start or f"{plugins.VARIABLE} doesn't name {plugins.NAME}")
        )
    batch = ""
    if start == BATCH and plugins.ours_is_named(environment):
        batch = batch_file.input_file(arguments)
    if batch:
        problems += islice(batch_file.problems(batch), MOST)
    if problems:
        raise EngineError(problems)
    if start and not batch:
        logger.warning(
            "temperament: %s reads no presets: one in a request's body has no effect, one in "
            "vllm_xargs ends its texts.",
            start,
        )


def check_request() -> None:
    """Raises `RequestError` if this process's front end can't keep the operator's settings.

    `check` refuses that when the engine starts. But processes that Ray starts don't have the front
    end's arguments, so the front end's own process checks them again with each request.
    """
    if problems := _of_this_front_end():
        raise RequestError(problems)


@cache
def _of_this_front_end() -> tuple[Problem, ...]:
    arguments = _expanded(sys.argv)
    start = _without_plugins(arguments, os.environ)
    if not start:
        return ()
    options = _options(sys.argv[1:])
    promises = settings.read(options.additional_config).promises
    problems = [_unkept(promises, start)] if promises else []
    uses_ray = "ray" in (options.distributed_executor_backend, options.data_parallel_backend)
    if uses_ray and start == BATCH and plugins.ours_is_named(os.environ):
        problems += islice(batch_file.problems(batch_file.input_file(arguments)), MOST)
    return tuple(problems)


def _options(arguments: Sequence[str]) -> Namespace:
    """Returns what is read here of vLLM's options, as vLLM's own parser reads them."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):
        def parse_known_args(self, *arguments: Any, **others: Any) -> Any:
            return super().parse_known_args(*arguments, **others)[0], []  # others aren't wrong

    parser = Parser(add_help=False)
    parser.add_argument(CONFIG, type=json.loads, default={})
    parser.add_argument("--distributed-executor-backend")
    parser.add_argument("--data-parallel-backend")
    options: Namespace = parser.parse_args(list(arguments))
    return options


def _unkept(promises: Sequence[str], reason: str) -> Problem:
    """Returns the problem of settings for all requests that can't apply because of `reason`."""
    return Problem(
        settings.WHERE,
        ", ".join(promises),
        "can't be kept: requests reach the engine past Temperament",
        reason,
        "`temperament serve`, or a start without these settings",
        reason="unsupported",
    )


def is_below(program: str, process: int | None = None) -> bool:
    """Returns whether a process, by default this one, was started by a program or its children."""
    with suppress(psutil.Error):  # a process that has ended meanwhile
        return any(parent.name() == program for parent in psutil.Process(process).parents())
    return False


def _without_plugins(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Returns the start that loads no endpoint plugin; "" for one that may load Temperament's."""
    program, command = _command(arguments)
    if program == "run_batch" or command == "run-batch":
        return BATCH
    if program == "grpc_server" or (command == "serve" and "--grpc" in arguments):
        return "vllm serve --grpc"
    # Of vLLM's own programs, `vllm serve` alone reads the variable.
    if environment.get(RUST, "").strip() not in ("", "0") and (command or program) not in OTHERS:
        return f"{RUST}={environment[RUST]}"
    return ""


def _command(arguments: Sequence[str]) -> tuple[str, str]:
    """Returns the program's name, and the command of vLLM's command line ("" elsewhere)."""
    program = Path(arguments[0]).stem if arguments else ""
    return program, arguments[1] if program in COMMAND_LINE and len(arguments) > 1 else ""


def _expanded(arguments: Sequence[str]) -> list[str]:
    """Returns vLLM's arguments with those of a `--config` file before them, as vLLM reads both.

    Names are spelled with dashes. Other programs' arguments stay as they are.
    """
    program, command = _command(arguments)
    if command not in ("serve", "run-batch") and program != "run_batch":
        return list(arguments)
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    first = 2 if command else 1
    files: list[str] = []
    for name, path in pairwise(arguments):
        if name == "--config":
            files += FlexibleArgumentParser().load_config_file(path)
    return [_dashed(each) for each in (*arguments[:first], *files, *arguments[first:])]


def _ignored_settings(arguments: Sequence[str]) -> Iterator[Problem]:
    """Yields each `--config=FILE` with settings: vLLM ignores it, and reads `--config FILE` alone.

    Read in vLLM 0.32.0 and 0.33.0.
    """
    program, command = _command(arguments)
    if not command and program not in (*MODULES, *OTHERS):
        return
    for each in arguments:
        name, _, path = each.partition("=")
        if name == "--config" and path and _has_settings(path):
            yield Problem(
                each,
                "",
                "vLLM ignores the file, and the settings of Temperament in it",
                allowed=f"--config {path}",
                reason="unsupported",
            )


def _has_settings(path: str) -> bool:
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    with suppress(Exception):  # whatever is wrong with a file that vLLM doesn't read
        options = pairwise(FlexibleArgumentParser().load_config_file(path))
        return any("temperament" in value for name, value in options if _dashed(name) == CONFIG)
    return False


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if name.startswith("--") else argument
