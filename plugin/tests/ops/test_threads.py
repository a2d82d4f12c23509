"""Work is divided among torch's threads: each row once, and what a part raises is raised."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from temperament.ops import threads
from temperament.ops.blocks import BAND

WIDE = 2**17


@pytest.fixture(params=["the team of OpenMP", "threads of our own"])
def two_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads, on both ways to start them."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    if request.param == "threads of our own":
        monkeypatch.setattr(threads, "_team", lambda: None)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64, 200])
@pytest.mark.usefixtures("two_threads")
def test_each_row_is_worked_on_once(rows: int) -> None:
    """All rows are in exactly one part, and no part is larger than a band."""
    times = np.zeros(rows, np.int64)
    sizes = []

    def work(part: slice) -> None:
        times[part] += 1
        sizes.append(len(times[part]) * WIDE)

    threads.on_all_threads(work, rows, WIDE)

    assert [1] * rows == times.tolist()
    assert max(sizes) <= BAND


@pytest.mark.usefixtures("two_threads")
def test_two_threads_work_at_the_same_time() -> None:
    """Two parts wait for each other, which one thread alone would never end."""
    together = threading.Barrier(2)

    def work(_: slice) -> None:
        together.wait(60)

    threads.on_all_threads(work, 2, WIDE)

    assert not together.broken


@pytest.mark.usefixtures("two_threads")
def test_what_a_part_raises_is_raised_after_the_others() -> None:
    """An error on any thread reaches the caller, and the other parts are done."""
    done = []

    def work(part: slice) -> None:
        if part.start == 0:
            raise ValueError("the first part")
        done.append(part.start)

    with pytest.raises(ValueError, match="the first part"):
        threads.on_all_threads(work, 40, WIDE)

    assert list(range(8, 40, 8)) == sorted(done)


def in_a_process(code: str) -> str:
    """Returns what a program prints that begins with two threads of torch in use."""
    begin = (
        "import os, torch\n"
        "from temperament.ops.threads import on_all_threads\n"
        "torch.set_num_threads(2)\n"
        "torch.zeros(2**22).add_(1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(threads.__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", begin + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the team of OpenMP is found on Linux")
def test_no_thread_is_added_to_those_of_torch() -> None:
    """The parts run on the threads that torch's operators have started."""
    printed = in_a_process(
        "before = len(os.listdir('/proc/self/task'))\n"
        "on_all_threads(lambda part: None, 40, 2**17)\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )

    assert "0" == printed


def test_a_forked_process_works_alone() -> None:
    """A fork after the threads were used doesn't wait for threads that it hasn't got."""
    printed = in_a_process(
        "on_all_threads(lambda part: None, 40, 2**17)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    rows = []\n"
        "    on_all_threads(lambda part: rows.extend(range(*part.indices(40))), 40, 2**17)\n"
        "    os._exit(len(rows))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )

    assert "40" == printed
