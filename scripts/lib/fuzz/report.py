"""The report of a fuzz run: counts, costs and failures, and its table."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from integration_tests.harness.hostile import File, Request
from tqdm import tqdm


@dataclass
class Report:
    """What was tried and what came of it."""

    command: str
    seed: int
    seconds: float = 0
    cases: dict[str, int] = field(default_factory=dict)
    passed: int = 0
    refused: int = 0
    untouched: int = 0  # bodies that vLLM is to read as they are
    drawn: int = 0  # of those that passed, with how many tokens were drawn
    slowest: float = 0  # refusal, in milliseconds of processor time
    largest: float = 0  # refusal, in MiB
    weighed: int = 0  # cases whose memory was looked at
    http: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, case: Request | File) -> None:
        """Keeps a failure, with enough of the case to find it again."""
        where = getattr(case, "path", getattr(case, "name", ""))
        self.failures.append(f"{what}: {case.kind}: {where}: {case.raw[:600]!r}")
        tqdm.write(self.failures[-1][:400], file=sys.stderr)


def table(report: Report) -> str:
    """The report as a Markdown table."""
    rows = {
        "command": f"`{report.command}`",
        "cases": f"{sum(report.cases.values()):,} in {report.seconds:,.0f} s",
        **{kind: f"{count:,}" for kind, count in sorted(report.cases.items())},
        "refused": f"{report.refused:,}",
        "passed": f"{report.passed:,}",
        "without fields of the plugin, left to vLLM": f"{report.untouched:,}",
        "rows drawn with what passed": f"{report.drawn:,}",
        "slowest refusal (ms)": report.slowest,
        "largest refusal (MiB)": f"{report.largest} of {report.weighed:,} weighed",
        "answers over HTTP": ", ".join(f"{s}: {n:,}" for s, n in sorted(report.http.items())),
        "failures": len(report.failures),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])
