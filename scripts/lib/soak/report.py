"""The report of a soak: counts, failures, memory, and its table."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What was run and what came of it."""

    command: str
    runner: str
    seed: int
    requests: int = 0
    seconds: float = 0
    presets: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    tokens: int = 0
    preemptions: int = 0
    prefix_hits: int = 0
    restarts: int = 0
    left_running: int = 0
    errors_in_log: list[str] = field(default_factory=list)
    # resident memory of all of the server's processes, in MiB
    memory: dict[str, float] = field(default_factory=dict)
    # the same over the run for each of them
    processes: dict[str, list[int]] = field(default_factory=dict)
    # samples that were repeated alone
    repeated: dict[str, int] = field(default_factory=dict)
    # samples that parted although the model's logits were the same
    parted: list[str] = field(default_factory=list)
    captured: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """What must not have happened."""
        found = [*self.failures, *self.parted, *self.captured.get("differing", ())]
        found += [f"status {s}: {n}" for s, n in self.statuses.items() if s.startswith("5")]
        if self.restarts:
            found.append(f"{self.restarts} of the server's processes are others than at its start")
        if self.left_running:
            found.append(f"{self.left_running} requests are still running")
        return [*found, *self.errors_in_log]


def shortened(message: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        message = str(json.loads(message)["error"]["message"])
    return re.sub(r"\d[\d.e+-]*", "#", message)[:160]


def table(report: Report) -> str:
    """The report as a Markdown table."""
    repeated = ", ".join(f"{name}: {count}" for name, count in report.repeated.items())
    rows = {
        "command": f"`{report.command}`",
        "requests": f"{report.requests:,} in {report.seconds:,.0f} s",
        "presets": report.presets,
        "kinds": ", ".join(f"{name} {count:,}" for name, count in sorted(report.kinds.items())),
        "answers": ", ".join(f"{s}: {n:,}" for s, n in sorted(report.statuses.items())),
        "preemptions": report.preemptions,
        "prompt tokens from the prefix cache": report.prefix_hits,
        "processes that were restarted": report.restarts,
        "errors in the server's log": len(report.errors_in_log),
        "memory (MiB)": ", ".join(f"{name} {size:,}" for name, size in report.memory.items()),
        "samples repeated alone": repeated,
    }
    if report.captured:
        count, differing = report.captured["rows"], len(report.captured["differing"])
        rows["captured rows run alone"] = f"{count:,}, of which {differing} differ"
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])
