"""One process for each model runner, in which `vllm.LLM` engines run one after another.

Importing vLLM costs about ten seconds of a core, and building an engine one or two. All tests of a
session that need an engine of their own therefore share a process: each job builds its engine
there, and drops it.

    python -m integration_tests.harness.engine

reads one job a line from standard input, as JSON, and writes one answer a line to standard output.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from integration_tests.harness import forks
from integration_tests.harness.environments import Runner, environment
from integration_tests.harness.models import ROOT


class EngineError(RuntimeError):
    """A job raised an exception, or its process ended; the message has the end of the log."""


class EngineProcess:
    """The process that runs the jobs of one model runner."""

    def __init__(self, runner: Runner) -> None:
        self.log = Path(tempfile.mkdtemp(prefix="engine-"), "log")
        arguments = ["-m", "integration_tests.harness.engine"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                forks.command(runner, arguments) or [sys.executable, *arguments],
                cwd=ROOT,
                env=environment(runner) | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def run(self, job: dict[str, Any], timeout: float) -> Any:
        """What the job returns. Raises `EngineError` if it fails or takes longer."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            raise self._error(f"no answer within {timeout:.0f} s")
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the engine's process ended"}
        if "error" in answer:
            raise self._error(answer["error"])
        return answer["value"]

    def _error(self, problem: str) -> EngineError:
        end = self.log.read_text(errors="replace")[-3000:]
        return EngineError(f"{problem}\nthe end of {self.log}:\n{end}")

    def stop(self) -> None:
        """Ends the process and closes its pipes."""
        assert self.process.stdin and self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


_processes: dict[Runner, EngineProcess] = {}


def call(
    runner: Runner, function: Callable[..., Any], /, timeout: float = 550, **arguments: Any
) -> Any:
    """Calls a function of a module in the runner's process, with arguments that JSON can carry.

    Returns what the function returns, as JSON carries it. After an `EngineError` the next call
    starts a new process.
    """
    if runner not in _processes:
        _processes[runner] = EngineProcess(runner)
    job = {
        "module": function.__module__,
        "function": function.__name__,
        "arguments": arguments,
    }
    try:
        return _processes[runner].run(job, timeout)
    except BaseException:
        stop(runner)
        raise


def stop(runner: Runner) -> None:
    """Ends the runner's process; the next call starts a new one."""
    if runner in _processes:
        _processes.pop(runner).stop()


@atexit.register
def _stop_all() -> None:
    for runner in list(_processes):
        stop(runner)


def main() -> None:
    """Runs the jobs until standard input ends."""
    # vLLM and its helpers print to standard output and may read standard input.
    jobs, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    for line in jobs:
        job = json.loads(line)
        try:
            function = getattr(import_module(job["module"]), job["function"])
            answer = json.dumps({"value": function(**job["arguments"])})
        except Exception:
            answer = json.dumps({"error": traceback.format_exc()})
        gc.collect()  # the engine, which has cycles
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
