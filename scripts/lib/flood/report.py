"""The report of a flood: counts, failures, memory, and its table."""

from __future__ import annotations

from dataclasses import dataclass, field

GROWTH = 32.0  # MiB
# Requests in which whatever is loaded once has been loaded in the first third.
LONG = 400
PARTED = 1 / 20


@dataclass
class Report:
    """What was run and what came of it."""

    command: str
    seed: int
    requests: int = 0
    seconds: float = 0
    presets: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    # how requests ended
    ends: dict[str, int] = field(default_factory=dict)
    # the reasons of those that could not run
    reasons: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    tokens: int = 0
    # requests that lost their cache
    offloaded: int = 0
    # requests that went on without their preset, by stage
    given_up: dict[str, int] = field(default_factory=dict)
    # requests that have a place when all have ended
    left: int = 0
    # samples that were repeated alone
    repeated: dict[str, int] = field(default_factory=dict)
    # resident memory in MiB
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """What must not have happened."""
        found = [*self.failures]
        found += [f"{count} requests lost {stage}" for stage, count in self.given_up.items()]
        if self.left:
            found.append(f"{self.left} requests have a place after their end")
        parted = self.repeated.get("parted", 0)
        if parted > 1 and parted > PARTED * sum(self.repeated.values()):
            found.append(f"{parted} samples part alone")
        if self.requests >= LONG and self.memory.get("growth", 0) > GROWTH:
            found.append(f"the memory grew by {self.memory['growth']} MiB")
        return found


def table(report: Report) -> str:
    """The report as a Markdown table."""
    rows = {
        "command": f"`{report.command}`",
        "requests": f"{report.requests:,} in {report.seconds:,.0f} s",
        "presets": report.presets,
        "kinds": counts(report.kinds),
        "ends": counts(report.ends),
        "tokens": f"{report.tokens:,}",
        "requests that lost their cache": report.offloaded,
        "presets given up": sum(report.given_up.values()),
        "places kept after the end": report.left,
        "samples repeated alone": counts(report.repeated),
        "memory (MiB)": ", ".join(f"{name} {size:,}" for name, size in report.memory.items()),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])


def counts(numbers: dict[str, int]) -> str:
    """`name number, ...`, by name."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(numbers.items()))
