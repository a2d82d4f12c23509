"""Draws 100,000 tokens under each sampler that promises an average, and tests the noise as chance.

    ./scripts/numbers                     both
    ./scripts/numbers --tokens 5000       shorter

Takes: three minutes on one core.
Writes: nothing but its tables on stdout; with --json FILE also the numbers.

Mirostat promises a mean surprise, XTC how often it acts, adaptive-p a mean probability. The noise
is read over seeds and positions that are neighbours. Everything is seeded, so that the same numbers
come out each time. The status is 1 if an average or a test is out of its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.lib.command import finish, parser


@dataclass
class Report:
    """Averages and tests as (name, found, what it should be, the bound of the difference)."""

    averages: list[tuple[str, float, float, float]]
    noise: list[tuple[str, float, float, float]]


def main() -> None:
    """Measures, and prints the tables."""
    options = parser("numbers", __doc__)
    options.add_argument("--tokens", type=int, default=100_000)
    options.add_argument("--json", type=Path, help="the file for the numbers")
    chosen = options.parse_args()
    from scripts.lib.numbers.averages import averages
    from scripts.lib.numbers.battery import battery

    report = Report(averages(chosen.tokens), battery(chosen.tokens))
    finish(report, table(report), wrong([*report.averages, *report.noise]), chosen.json)


def wrong(lines: list[tuple[str, float, float, float]]) -> list[str]:
    """The lines that are out of their bounds."""
    return [
        f"{name}: {found:.4g}, not {expected:.4g} to {bound:.2g}"
        for name, found, expected, bound in lines
        if not abs(found - expected) <= bound
    ]


def table(report: Report) -> str:
    """The report as two tables."""
    lines = ["| average | found | promised |", "| --- | --- | --- |"]
    lines += [f"| {name} | {f:.4f} | {e:.4g} |" for name, f, e, _ in report.averages]
    lines += ["", "| noise, standard deviations from chance | found |", "| --- | --- |"]
    lines += [f"| {name} | {found:+.2f} |" for name, found, _, _ in report.noise]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
