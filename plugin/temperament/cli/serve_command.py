"""`serve`: starts `vllm serve` with the plugin beside all other installed ones."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path

from temperament.cli.output import AddCommand
from temperament.errors import EngineError, Problem
from temperament.presets.catalogue import VARIABLE


def add(command: AddCommand) -> None:
    """Adds the command to the command line."""
    parser = command("serve", serve, "starts `vllm serve` with presets: all arguments are vLLM's")
    parser.add_argument("model", metavar="MODEL", help="as for `vllm serve`")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as for `vllm serve`")


def serve(arguments: Namespace) -> str:
    """Replaces this process by `vllm serve`; never returns.

    Presets of `--presets` are added to those of `TEMPERAMENT_PRESETS`. Raises `EngineError` if
    vLLM isn't installed.
    """
    from temperament.engines.vllm import plugins

    beside = Path(sys.executable).with_name("vllm")
    vllm = str(beside) if beside.exists() else shutil.which("vllm")
    if vllm is None:
        raise EngineError(
            Problem("vllm", "", "the command isn't installed", allowed="pip install vllm")
        )
    os.environ[plugins.VARIABLE] = plugins.all_of_them(os.environ)
    paths = [os.environ.get(VARIABLE, ""), *map(os.path.abspath, arguments.presets)]
    if any(paths):
        os.environ[VARIABLE] = os.pathsep.join(filter(None, paths))
    os.execv(vllm, [vllm, "serve", arguments.model, *arguments.arguments])
