"""What all unit tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from temperament.plan.automata import cache
from tests.kernels.interpreter import import_interpreted

# The same examples in every run: a red test is red for everybody. Searching for new ones is the
# work of scripts of their own.
# A busy machine is slow: neither the time of an example nor that of drawing it fails a test.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
# Before a test imports Triton in another way.
import_interpreted()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test draws without a seed of its own is the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Automata are kept for the session, and not in the user's folder."""
    home = tmp_path_factory.mktemp("automata")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "folder", lambda: home)
        yield home
