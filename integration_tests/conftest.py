"""Servers and models that all tests of a session share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from integration_tests.harness.models import model_path
from integration_tests.harness.server import Server

V1_ARGS = [
    *("--served-model-name", "smollm2"),
    *("--dtype", "float32"),
    *("--max-model-len", "2048"),
    *("--max-num-seqs", "32"),
    *("--logprobs-mode", "processed_logprobs"),
    *("--max-logprobs", "-1"),
    *("--additional-config", '{"temperament": {"playground": true}}'),
]
V2_ARGS = [*V1_ARGS, "--served-model-name", "tiny"]

SERVERS: dict[str, Callable[[], Server]] = {
    "v1_server": lambda: Server(model_path("smollm2"), "v1", V1_ARGS),
    "v2_server": lambda: Server(model_path("tiny"), "v2", V2_ARGS),
}


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct in float32: a real model, vocabulary 49,152."""
    return model_path("smollm2")


@pytest.fixture(scope="session")
def gemma_path() -> Path:
    """Gemma 3 270M, the base model, in float32: vocabulary 262,144, SentencePiece-style."""
    return model_path("gemma")


@pytest.fixture(scope="session")
def tiny_path() -> Path:
    """A random two-layer Llama, vocabulary 1,024: for what is slow with a real model."""
    return model_path("tiny")


@pytest.fixture(scope="session")
def launch(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Server]]:
    """Launches a server of `SERVERS`, once.

    Those that the session's tests name are launched together: a start is mostly imports, on one
    core, and the other core can do the other server's.
    """
    with ExitStack() as stack:

        @cache
        def launch(name: str) -> Server:
            server = SERVERS[name]().launch()
            stack.callback(server.stop)
            return server

        items = request.session.items
        named = {name for item in items for name in getattr(item, "fixturenames", ())}
        for name in SERVERS.keys() & named:
            launch(name)
        yield launch


@pytest.fixture(scope="session")
def v1_server(launch: Callable[[str], Server]) -> Server:
    """SmolLM2 as `smollm2` on the model runner that a CPU gets."""
    return launch("v1_server").wait()


@pytest.fixture(scope="session")
def v2_server(launch: Callable[[str], Server]) -> Server:
    """The tiny model as `tiny` on the model runner that a GPU gets."""
    return launch("v2_server").wait()
