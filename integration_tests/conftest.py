"""What the integration tests share: models, servers, and the order in which the tests run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration_tests.harness import forks
from integration_tests.harness.models import model_path
from integration_tests.harness.server import ON_SHARED_CORES, Server

# Read when torch is imported, which the test modules do. Workers share two cores, and threads
# that wait for one another on a busy machine cost more than they gain with models this small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

V1_ARGS = [
    *("--served-model-name", "smollm2"),
    *("--dtype", "float32"),
    *("--max-model-len", "2048"),
    *("--max-num-seqs", "32"),
    *("--block-size", "32"),  # so that short prompts too are found in the prefix cache
    *("--logprobs-mode", "processed_logprobs"),
    # A grammar of JSON allows spaces without end, which a model without sense writes.
    *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
    *("--max-logprobs", "-1"),
    *("--additional-config", '{"temperament": {"playground": true}}'),
]
V2_ARGS = [*V1_ARGS, "--served-model-name", "tiny"]

# `v1_server` says "smollm2" and runs its first four layers: the tests that use it look at requests
# and answers, whose words don't count.
SERVERS: dict[str, Callable[[], Server]] = {
    "v1_server": lambda: Server(model_path("shallow"), "v1", V1_ARGS, env=ON_SHARED_CORES),
    "v2_server": lambda: Server(model_path("tiny"), "v2", V2_ARGS, env=ON_SHARED_CORES),
}
# Files of few tests that take long. They begin first, so that no worker has to wait at the end.
LONG = (
    "test_distributed.py",
    "test_samplers.py",
    "test_chains.py",
    "test_soak.py",
    "test_offline.py",
    "test_modes_everywhere.py",
    "test_readme.py",
    "test_plugins.py",
    "test_benchmark.py",
    "test_reproducible.py",
    "test_server_operator.py",
    "test_run_batch.py",
    "test_every_route.py",
    "test_playground.py",
    "test_matrix.py",
)


def group_of(item: pytest.Item) -> str:
    """The tests of a group run one after another: those of a shared server, or those of a file."""
    used = [name for name in SERVERS if name in getattr(item, "fixturenames", ())]
    return used[0] if used else item.path.name


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of a group together, and with pytest-xdist on one worker."""
    first = [*SERVERS, *LONG]
    ranks = {group: rank for rank, group in enumerate(first)}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: ranks.get(group_of(item), len(first)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test draws without a seed of its own is the same in every run."""
    import torch  # not before `OMP_NUM_THREADS` is set

    torch.manual_seed(0)


def pytest_configure(config: pytest.Config) -> None:
    """Servers of this session, of all its workers, begin in forks that have imported vLLM."""
    if forks.FOLDER not in os.environ:
        forks.open_folder()
        config.add_cleanup(forks.close_folder)


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct in float32: a real model, vocabulary 49,152."""
    return model_path("smollm2")


@pytest.fixture(scope="session")
def shallow_path() -> Path:
    """SmolLM2's first four layers: its vocabulary and its template, at a quarter of the time."""
    return model_path("shallow")


@pytest.fixture(scope="session")
def gemma_path() -> Path:
    """Gemma 3 270M, the base model, in float32: vocabulary 262,144, SentencePiece-style."""
    return model_path("gemma")


@pytest.fixture(scope="session")
def tiny_path() -> Path:
    """A random two-layer Llama, vocabulary 1,024: for what is slow with a real model."""
    return model_path("tiny")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Notices that pytest-xdist ignores the groups, which would start each server twice."""
    grouped = os.environ.get("PYTEST_XDIST_WORKER") and getattr(
        session.config.option, "loadgroup", False
    )
    if grouped and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist ignores groups with this version of pytest")


running = pytest.StashKey[dict[str, Server]]()


@pytest.fixture(scope="session")
def start(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Server]]:
    """Starts a server of `SERVERS`, and ends it with the session if no test has ended it before."""
    servers = request.config.stash.setdefault(running, {})

    def start(name: str) -> Server:
        servers[name] = SERVERS[name]()
        return servers[name].__enter__()

    yield start
    for server in servers.values():
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Ends a shared server after the last test of its group."""
    yield
    servers = item.config.stash.get(running, {})
    if nextitem is not None:
        for name in servers.keys() - set(getattr(nextitem, "fixturenames", ())):
            servers.pop(name).stop()


@pytest.fixture(scope="session")
def v1_server(start: Callable[[str], Server]) -> Server:
    """The first layers of SmolLM2 as `smollm2`, on the model runner that a CPU gets."""
    return start("v1_server")


@pytest.fixture(scope="session")
def v2_server(start: Callable[[str], Server]) -> Server:
    """The tiny model as `tiny` on the model runner that a GPU gets."""
    return start("v2_server")
