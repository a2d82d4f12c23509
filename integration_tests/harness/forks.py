"""Programs that begin in a fork of a process that has imported vLLM.

Importing vLLM takes a core some 15 seconds, and a server does it twice: vLLM's CPU platform starts
the engine's process from nothing. With some thirty servers in the tests that is a quarter of an
hour. So a session of pytest imports vLLM once for each model runner, here, and `vllm serve` begins
in a fork of that process, at the entry point of its console script. The engine's process begins in
another fork: `multiprocessing.set_executable` names `relay.py` in place of Python. All that comes
after the imports is as in a terminal. `temperament serve` and `temperament compare` are tested
without this.

    python -m integration_tests.harness.forks SOCKET
"""

from __future__ import annotations

import array
import fcntl
import gc
import json
import multiprocessing
import os
import random
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from prometheus_client import values

from integration_tests.harness.environments import Runner, environment

ROOT = Path(__file__).parents[2]
RELAY = Path(__file__).with_name("relay.py")
# The folder of a session's processes. Where it isn't set, programs start as usual.
FOLDER = "TEMPERAMENT_TEST_FORKS"
# What a server and its engine import before they serve, beside vLLM's command line.
MODULES = (
    "vllm.entrypoints.cli.main",
    "vllm.entrypoints.openai.api_server",
    "vllm.entrypoints.llm",
    "vllm.v1.engine.core",
)
# Console scripts that shells can start in a fork: those that import torch.
SCRIPTS = ("temperament", "vllm")
MOST_FILES = 250  # the kernel passes at most 253 in one message


def open_folder() -> None:
    """Makes a folder for the processes of this session, and says so to the session's programs."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="forks-")


def close_folder() -> None:
    """Ends the processes of this session, and with them the programs that still run."""
    folder = Path(os.environ.pop(FOLDER))
    for file in folder.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGTERM)
    shutil.rmtree(folder)


def command(runner: Runner, arguments: Sequence[str]) -> list[str] | None:
    """The command that runs a program in a fork of the process that has imported vLLM for `runner`.

    `arguments` are a console script of an installed package, or `-m` and a module, with what
    follows. None where the session has no such processes. The first use starts the process.
    """
    if FOLDER not in os.environ:
        return None
    folder = Path(os.environ[FOLDER])
    address = folder / f"{runner}.socket"
    with (folder / f"{runner}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not address.exists():
            _start(runner, address)
    return [sys.executable, "-IS", str(RELAY), str(address), *arguments]


def programs(runner: Runner) -> list[str]:
    """What to put in front of PATH for shells to start `SCRIPTS` in such forks; empty without."""
    found = [_script(runner, name, [name]) for name in SCRIPTS]
    return [str(script.parent) for script in found[:1] if script]


def python(runner: Runner) -> str:
    """A program that takes `-c` or `-m` as Python does, and runs it in such a fork.

    Python itself where the session has no such processes. The scripts in `scripts/` run with it
    where `PYTHON` names it.
    """
    return str(_script(runner, "python", []) or sys.executable)


def _script(runner: Runner, name: str, arguments: Sequence[str]) -> Path | None:
    """A file that runs `command(runner, arguments)` with more arguments; None without forks."""
    if not (fork := command(runner, arguments)):
        return None
    script = Path(os.environ[FOLDER], f"{runner}-{'bin' if arguments else 'python'}", name)
    if not script.exists():
        script.parent.mkdir(exist_ok=True)
        unready = script.with_suffix(f".{os.getpid()}")
        unready.write_text(f'#!/bin/sh\nexec {shlex.join(fork)} "$@"\n')
        unready.chmod(0o700)
        unready.rename(script)
    return script


def _start(runner: Runner, address: Path) -> None:
    """Starts the process, waits until it has imported vLLM; raises `RuntimeError` if it ends."""
    output = address.with_suffix(".log")
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(address)],
            cwd=ROOT,
            env=environment(runner),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address.with_suffix(".pid").write_text(str(process.pid))
    while not address.exists():
        if process.poll() is not None:
            raise RuntimeError(f"importing vLLM failed:\n{output.read_text()}")
        time.sleep(0.05)


class _Programs:
    """Listens for requests, and waits for the ends of the programs that it forked for them."""

    def __init__(self, address: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        unready = address.with_suffix(".unready")
        self.listening.bind(str(unready))
        self.listening.listen(64)
        unready.rename(address)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listening, selectors.EVENT_READ)
        self.programs: dict[int, tuple[int, socket.socket]] = {}  # end -> (process, relay)

    def run(self) -> dict[str, Any]:
        """Serves for ever in this process. Returns, with its request, in each fork."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listening:
                    connection = self.listening.accept()[0]
                    if (request := self._fork(connection)) is not None:
                        return request
                elif key.data == "end":
                    self._ended(key.fd)
                else:
                    self._signalled(key.data, key.fileobj)

    def _fork(self, connection: socket.socket) -> dict[str, Any] | None:
        """None in this process; in the fork, what it is to run."""
        message, rights, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(4 * MOST_FILES))
        files = array.array("i")
        for _, _, data in rights:
            files.frombytes(data)
        text, size = b"", int.from_bytes(message, "big")
        while len(text) < size:
            text += connection.recv(size - len(text))
        if process := os.fork():
            for file in files:
                os.close(file)
            end = os.pidfd_open(process)
            self.programs[end] = process, connection
            self.selector.register(end, selectors.EVENT_READ, "end")
            self.selector.register(connection, selectors.EVENT_READ, end)
            return None

        os.setsid()
        connection.close()
        self.listening.close()
        self.selector.close()
        for end, (_, relay) in self.programs.items():
            os.close(end)
            relay.close()
        request: dict[str, Any] = json.loads(text)
        _take_files(list(files), request["files"])
        return request

    def _ended(self, end: int) -> None:
        """Tells the relay how its program ended."""
        process, connection = self.programs.pop(end)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self.selector.unregister(end)
        os.close(end)
        if connection in self.selector.get_map():
            self.selector.unregister(connection)
        with suppress(OSError):  # the relay was killed
            connection.sendall(json.dumps(status).encode())
        connection.close()

    def _signalled(self, end: int, connection: Any) -> None:
        """Sends the program the signals that its relay got; kills it with its relay."""
        process = self.programs[end][0]
        numbers = b""
        with suppress(ConnectionError):
            numbers = connection.recv(16)
        if not numbers:
            self.selector.unregister(connection)
            os.killpg(process, signal.SIGKILL)
        for number in numbers:
            os.kill(process, number)


def _take_files(files: list[int], numbers: list[int]) -> None:
    """Gives the files that came with a request the numbers that they have in the relay."""
    above = max([*files, *numbers]) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, above) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(moved, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    # Python's own streams remember what kind of file they were opened on.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _prepare(request: dict[str, Any], address: str) -> list[str]:
    """Makes this fork look like a new process; returns its arguments."""
    os.chdir(request["folder"])
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    by_shim = {  # what `sitecustomize` has set
        name: value
        for name, value in os.environ.items()
        if os.fsencode(f"{name}={value}") not in started_with
    }
    os.environ.clear()
    os.environ.update(request["environment"] | by_shim)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = more = [path for path in paths if path not in before]
    if any(Path(path, "sitecustomize.py").exists() for path in more):
        sys.modules.pop("sitecustomize", None)
        import_module("sitecustomize")
    random.seed()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # read when prometheus_client is imported
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    # The engine's process is started as multiprocessing starts one: PYTHON -c CODE.
    executable = Path(address).with_suffix(".python")
    if not executable.exists():
        executable.write_text(
            f'#!/bin/sh\ncase "$*" in *--multiprocessing-fork*) exec {sys.executable} -IS {RELAY}'
            f' {address} "$@" ;; *) exec {sys.executable} "$@" ;; esac\n'
        )
        executable.chmod(0o700)
    multiprocessing.set_executable(str(executable))
    arguments: list[str] = request["arguments"]
    return arguments


def _run(arguments: list[str]) -> None:
    """Runs a program as Python would: `-c CODE`, `-m MODULE`, or a console script by its name.

    Python's flags before `-c` or `-m` have no effect.
    """
    if arguments[0].startswith("-"):
        place = next(i for i, argument in enumerate(arguments) if argument in ("-c", "-m"))
        kind, program, *rest = arguments[place:]
        if kind == "-c":
            sys.argv = ["-c", *rest]
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(program, main.__dict__)
        else:
            sys.argv = [program, *rest]
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        script = Path(sys.executable).with_name(arguments[0])
        sys.argv = [str(script), *arguments[1:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        main.__file__ = str(script)
        (entry,) = entry_points(group="console_scripts", name=arguments[0])
        sys.exit(entry.load()())


def main() -> None:
    """Imports vLLM, then forks for each request."""
    address = sys.argv[1]
    for module in MODULES:
        import_module(module)
    # The collector of a fork then passes over the 600,000 objects that the imports made: a quarter
    # of a server's start is spent on looking through them again and again.
    gc.collect()
    gc.freeze()
    programs = _Programs(Path(address))
    _run(_prepare(programs.run(), address))


if __name__ == "__main__":
    main()
