"""An engine notices a front end that loads no endpoint plugin."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm import SamplingParams
from vllm.utils.argparse_utils import FlexibleArgumentParser

from temperament.engines.vllm import front_end
from temperament.engines.vllm.processor import TemperamentLogitsProcessor
from temperament.errors import EngineError, PresetError, Problem, RequestError

SERVE = ["/bin/vllm", "serve", "model"]
MODULE = "/site-packages/vllm/entrypoints/"
LOADED = {"VLLM_PLUGINS": "another,temperament"}
RUST = {**LOADED, "VLLM_USE_RUST_FRONTEND": "1"}
PROMISES: list[dict[str, Any]] = [
    {"default": "chat"},
    {"allow": []},
    {"inline": False},
    {"locked": {"temperature": {"max": 1}}},
]
AROUND = {
    "rust": (SERVE, RUST, "VLLM_USE_RUST_FRONTEND=1"),
    "rust, a worker of Ray": (["/ray/default_worker.py"], RUST, "VLLM_USE_RUST_FRONTEND=1"),
    "grpc": ([*SERVE, "--grpc"], LOADED, "vllm serve --grpc"),
    "grpc, its module": ([f"{MODULE}grpc_server.py", "--model", "m"], LOADED, "vllm serve --grpc"),
    "run-batch": (["/bin/vllm", "run-batch"], LOADED, "vllm run-batch"),
    "run-batch, its module": ([f"{MODULE}launchers/run_batch.py"], LOADED, "vllm run-batch"),
    "run-batch of vLLM's module": ([f"{MODULE}cli/main.py", "run-batch"], LOADED, "vllm run-batch"),
}
READS_PRESETS = {
    "serve": (SERVE, LOADED),
    "rust, switched off": (SERVE, {**RUST, "VLLM_USE_RUST_FRONTEND": "0"}),
    "the api server's module": ([f"{MODULE}openai/api_server.py"], RUST),
    "another program": (["program.py", "run-batch", "--grpc", "--config", "its.json"], LOADED),
    "another node": ([*SERVE, "--headless"], {}),
}


def vllms_parser() -> Any:
    """vLLM's parser, with two of its options."""
    parser = FlexibleArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--additional-config", type=json.loads, default={})
    return parser


def config(**settings: Any) -> Any:
    """vLLM's configuration with these settings; a stand-in, since the real one needs a model."""
    return SimpleNamespace(additional_config={"temperament": settings})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged; vLLM's loggers pass nothing on."""
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    return caplog


@pytest.mark.parametrize(("arguments", "environment", "start"), AROUND.values(), ids=AROUND)
class TestAround:
    """A start that loads no endpoint plugin."""

    def test_settings_that_hold_for_all_requests(
        self, arguments: list[str], environment: dict[str, str], start: str
    ) -> None:
        """The start is refused, naming each setting that couldn't hold."""
        for settings in PROMISES:
            with pytest.raises(EngineError) as caught:
                front_end.check(config(**settings), arguments, environment)
            expected = (
                f"additional_config.temperament: {next(iter(settings))}: can't be kept: requests"
                f" reach the engine past Temperament; given: {start}; allowed: `temperament serve`,"
                " or a start without these settings"
            )
            assert expected == str(caught.value)

    def test_only_installed(
        self, arguments: list[str], environment: dict[str, str], start: str, log: Any
    ) -> None:
        """One line of the log says that presets aren't read."""
        front_end.check(config(playground=True), arguments, environment)
        front_end.check(SimpleNamespace(additional_config={}), arguments, environment)

        line = (
            f"temperament: {start} reads no presets: one in a request's body has no effect, "
            "one in vllm_xargs ends its texts."
        )
        assert [line] * 2 == log.messages


@pytest.mark.parametrize(("arguments", "environment"), READS_PRESETS.values(), ids=READS_PRESETS)
def test_a_start_that_reads_presets(
    arguments: list[str], environment: dict[str, str], log: Any
) -> None:
    """A start that reads presets is neither refused nor reported."""
    front_end.check(config(default="chat", allow=[], locked={"*": {}}), arguments, environment)

    assert [] == log.messages


def test_a_headless_engine_of_the_rust_front_end(
    log: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`vllm-rs serve` starts the engine as if its front end were on another node; it isn't."""
    program = tmp_path / "vllm-rs"
    program.write_text("#!/bin/sh\nsh -c 'echo $$; cat'\n")
    program.chmod(0o700)
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        engine = int(running.stdout.readline())
        found = front_end.is_below("vllm-rs", engine), front_end.is_below("vllm-rs")
        running.communicate()
    below = front_end.is_below("vllm-rs", engine)
    with pytest.raises(EngineError, match=r"allow: can't be kept.*VLLM_USE_RUST_FRONTEND=1"):
        front_end.check(config(allow=[]), [*SERVE, "--headless"], RUST)
    monkeypatch.setattr(front_end, "is_below", lambda program: program == "vllm-rs")
    with pytest.raises(EngineError, match=r"allow: can't be kept.*given: vllm-rs serve"):
        front_end.check(config(allow=[]), [*SERVE, "--headless"], LOADED)
    front_end.check(config(), [*SERVE, "--headless"], LOADED)

    assert ((True, False), False) == (found, below)
    assert 1 == len(log.messages)


@pytest.mark.parametrize("environment", [{}, {"VLLM_PLUGINS": ""}, {"VLLM_PLUGINS": "another"}])
def test_the_plugin_is_not_named(environment: dict[str, str], log: Any) -> None:
    """Without the endpoint plugin nothing would hold, in `LLM` neither; without settings all is
    as vLLM's users know it.
    """
    with pytest.raises(EngineError, match=r"default, locked: .*VLLM_PLUGINS doesn't name temp"):
        front_end.check(config(default="chat", locked={"*": {}}), ["program.py"], environment)
    front_end.check(config(), ["program.py"], environment)

    assert [] == log.messages


@pytest.mark.parametrize(
    ("lines", "refused"),
    [("grpc: true\nport: 8000\n", True), ("grpc: false\n", False), ("headless: true\n", False)],
)
def test_a_config_file(tmp_path: Path, lines: str, refused: bool) -> None:
    """Options of a `--config` file count like those of the command line."""
    file = tmp_path / "server.yaml"
    file.write_text(lines)
    try:
        front_end.check(config(allow=[]), [*SERVE, "--config", str(file)], LOADED)
    except EngineError:
        assert refused
    else:
        assert not refused


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        ("additional-config: {temperament: {default: chat}}\n", True),
        ('additional_config: \'{"temperament": {"allow": []}}\'\n', True),
        ("additional-config: {another: 1}\n", False),
        ("[no map]\n", False),
        ("{\n", False),
    ],
)
def test_a_config_file_that_vllm_ignores(tmp_path: Path, lines: str, lost: bool) -> None:
    """vLLM reads `--config FILE`, and passes over `--config=FILE`: settings there would be lost."""
    file = tmp_path / "server.yaml"
    file.write_text(lines)
    arguments = [*SERVE, f"--config={file}"]
    if lost:
        with pytest.raises(EngineError) as caught:
            front_end.check(config(), arguments, LOADED)
        assert f"allowed: --config {file}" in str(caught.value)
    else:
        front_end.check(config(), arguments, LOADED)
    parsed = vars(vllms_parser().parse_args([f"--config={file}"]))

    assert {} == parsed["additional_config"]


BODIES: list[Any] = [
    {"temperature": 0.5, "vllm_xargs": {"preset": "code"}},
    {"preset": "code"},
    {"preset": None},
    [],
    {"top_a": 0.2, "temperature": {"from": 1, "to": 0.5, "over": 9}, "preset_trace": True},
    {"rep_pen": 1.1, "api_type": "vllm"},  # SillyTavern's
]
# With spaces that vLLM takes off, and that aren't JSON's.
BATCH = "".join(f"\u3000{json.dumps({'body': body})}\x0c\n" for body in BODIES) + "\n{\n"
FIELDS = [
    (6, "body.api_type", "'vllm'"),
    (2, "body.preset", "'code'"),
    (5, "body.preset_trace", "True"),
    (6, "body.rep_pen", "1.1"),
    (5, "body.temperature", "{'from': 1, 'to': 0.5, 'over': 9}"),
    (5, "body.top_a", "0.2"),
]


def refused(*arguments: str) -> list[Problem]:
    """The problems of a start of `vllm run-batch` with nothing configured, by their paths."""
    with pytest.raises(EngineError) as caught:
        front_end.check(config(), ["/bin/vllm", "run-batch", *arguments], LOADED)
    return sorted(caught.value.problems, key=lambda problem: problem.path)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A web server's address; it has the files of the test's folder."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "spelling",
    [
        ["-i", "{}"],
        ["--input-file={}"],
        ["--input_file", "{}"],
        ["--config", "batch.yaml"],
        ["--input-file", "{}", "--config", "another.yaml"],
    ],
    ids=" ".join,
)
def test_a_batch_that_names_presets(
    tmp_path: Path, spelling: list[str], monkeypatch: pytest.MonkeyPatch, log: Any
) -> None:
    """Each line whose fields would be ignored is named, before anything is drawn."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "asked.jsonl"
    file.write_text(BATCH)
    Path("batch.yaml").write_text(f"input_file: {file}\n")
    Path("another.yaml").write_text("input-file: batch.yaml\n")
    found = refused(*(each.format(file) for each in spelling))

    assert [(f"{file}:{line}", *rest) for line, *rest in FIELDS] == [
        (problem.where, problem.path, problem.given) for problem in found
    ]
    assert [] == log.messages


def test_a_batch_at_an_address(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read like a file, without a proxy, as vLLM reads it; passwords aren't repeated."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    (tmp_path / "asked.jsonl").write_text(BATCH)
    found = refused("-i", f"http://user:secret@{address}/asked.jsonl?key=secret")

    assert [(f"http://{address}/asked.jsonl:{line}", *rest) for line, *rest in FIELDS] == [
        (problem.where, problem.path, problem.given) for problem in found
    ]


@pytest.mark.parametrize("kind", ["file", "address", "pipe", "port", "no address"])
def test_a_batch_that_cannot_be_read(tmp_path: Path, address: str, kind: str) -> None:
    """What can't be read here isn't left to vLLM, which would sample without its presets."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    source, shown, reason = {
        "file": (f"{tmp_path}/none", f"{tmp_path}/none", "No such file"),
        "address": (f"http://{address}/none?secret", f"http://{address}/none", "404"),
        "pipe": (str(pipe), str(pipe), "not a file"),
        "port": ("http://127.0.0.1:1/a?secret", "http://127.0.0.1:1/a", "refused"),
        "no address": ("http://a:b/c?secret", "http://a:b/c", "port"),
    }[kind]
    [problem] = refused("-i", source)

    assert ("vllm run-batch", "input_file") == (problem.where, problem.path)
    assert problem.given.startswith(f"{shown}: ")
    assert reason in problem.given
    assert "secret" not in str(problem)


def test_a_batch_that_names_none(tmp_path: Path, address: str, log: Any) -> None:
    """Such a batch runs, and there is nothing to say."""
    file = tmp_path / "asked.jsonl"
    file.write_text('{"body": {"temperature": 0.5}}\n')
    for source in (str(file), f"http://{address}/asked.jsonl"):
        front_end.check(config(), ["/bin/vllm", "run-batch", "-i", source], LOADED)

    assert [] == log.messages


def test_a_batch_without_the_plugin(log: Any) -> None:
    """Where `VLLM_PLUGINS` doesn't name the plugin, no file is read, and the log says so."""
    front_end.check(config(), ["/bin/vllm", "run-batch", "-i", "none"], {})

    assert 1 == len(log.messages)


LOCKED = ["--additional-config", '{"temperament": {"allow": []}}']
REFUSED: dict[str, tuple[list[str], str]] = {
    "grpc": ([*SERVE, "--grpc", *LOCKED], "allow: can't be kept"),
    "a key alone": (
        [*SERVE, "--grpc", "--port", "1", "--additional-config.temperament.default", "chat"],
        "default: can't be kept",
    ),
    "a config file": (["/bin/vllm", "run-batch", "--config", "locks.yaml"], "allow: can't be"),
    "a batch": (
        [*["/bin/vllm", "run-batch"], "-i", "asked.jsonl", "--distributed-executor-backend=ray"],
        "asked.jsonl:2: body.preset: vllm run-batch would sample without it",
    ),
}


@pytest.fixture
def programs_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The arguments of this process, in a folder with files for them."""
    monkeypatch.chdir(tmp_path)
    Path("asked.jsonl").write_text(BATCH)
    Path("locks.yaml").write_text("additional-config:\n  temperament: {allow: []}\n")
    monkeypatch.setenv("VLLM_PLUGINS", "temperament")
    arguments: list[str] = []
    monkeypatch.setattr("sys.argv", arguments)
    front_end._of_this_front_end.cache_clear()
    yield arguments
    front_end._of_this_front_end.cache_clear()


@pytest.mark.parametrize(("arguments", "reason"), REFUSED.values(), ids=REFUSED)
def test_workers_that_do_not_know_the_front_end(
    arguments: list[str], reason: str, programs_arguments: list[str]
) -> None:
    """Under Ray the engine can't refuse to start, so each request is refused, with the reason."""
    programs_arguments += arguments
    for _ in range(2):
        with pytest.raises(RequestError, match=reason):
            TemperamentLogitsProcessor.validate_params(SamplingParams())


@pytest.mark.parametrize(
    "arguments",
    [
        [*SERVE, *LOCKED],
        [*SERVE, "--grpc"],
        ["/bin/vllm", "run-batch", "-i", "asked.jsonl", "--data-parallel-backend", "mp"],
    ],
    ids=" ".join,
)
def test_requests_of_other_starts(arguments: list[str], programs_arguments: list[str]) -> None:
    """A start that can keep what it promises, or that the engine refuses, refuses no request."""
    programs_arguments += arguments
    TemperamentLogitsProcessor.validate_params(SamplingParams())


def test_wrong_settings() -> None:
    """A mistake in the settings ends the start behind every front end."""
    with pytest.raises(PresetError, match=r"lock: .*did you mean 'locked'"):
        front_end.check(config(lock={}), SERVE, RUST)


def test_the_processor_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both runners create the processor, which checks first."""
    monkeypatch.setenv("VLLM_USE_RUST_FRONTEND", "1")
    for arguments in ((None,), (None, False)):
        with pytest.raises(EngineError, match="VLLM_USE_RUST_FRONTEND=1"):
            TemperamentLogitsProcessor(config(allow=[]), *arguments)
