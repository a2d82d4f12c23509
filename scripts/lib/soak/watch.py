"""Watches the processes of a server: their memory, and whether one of them ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import numpy as np
import psutil
from integration_tests.harness.server import Server
from scripts.lib.soak.report import Report


def processes(server: Server) -> list[psutil.Process]:
    """All of the server's processes."""
    top = psutil.Process(server.process.pid)
    return [top, *top.children(recursive=True)]


class Watch:
    """Looks at the server's processes while it works."""

    def __init__(self, server: Server, report: Report) -> None:
        self.server, self.report = server, report
        self.pids = {process.pid for process in processes(server)}
        self.samples: list[tuple[int, float]] = []
        self.parts: dict[str, list[int]] = {}  # MiB of each process
        self.alive = True

    async def run(self) -> None:
        """Until it is cancelled, or one of the processes is gone."""
        with suppress(psutil.NoSuchProcess):
            while self.pids <= {process.pid for process in processes(self.server)}:
                self.samples.append((self.report.requests, self.resident()))
                await asyncio.sleep(2)
        self.alive = False

    def resident(self) -> float:
        """MiB."""
        total = 0.0
        for process in processes(self.server):
            size = process.memory_info().rss / 2**20
            self.parts.setdefault(f"{process.name()} {process.pid}", []).append(round(size))
            total += size
        return total

    def finish(self) -> None:
        """Writes what was seen to the report."""
        gone = self.pids
        with suppress(psutil.NoSuchProcess):
            gone = self.pids - {process.pid for process in processes(self.server)}
        self.report.restarts = len(gone)
        done = np.array(self.samples)
        late = done[done[:, 0] >= done[-1, 0] / 3]  # after the first third, when everything is warm
        slope = np.polyfit(late[:, 0] / 1000, late[:, 1], 1)[0] if len(set(late[:, 0])) > 1 else 0
        self.report.memory = {
            "first": round(float(done[0, 1]), 1),
            "warm": round(float(late[0, 1]), 1),
            "last": round(float(done[-1, 1]), 1),
            "largest": round(float(done[:, 1].max()), 1),
            "slope per 1,000 requests": round(float(slope), 2),
        }
        self.report.processes = {
            name: sizes[:: len(sizes) // 40 + 1] for name, sizes in self.parts.items()
        }
