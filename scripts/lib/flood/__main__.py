"""Sends many random presets to one manager of Transformers' continuous batching.

    ./scripts/flood                       500 requests of the tiny model
    ./scripts/flood --requests 5000 --seed 3 --json flood.json
    ./scripts/flood --plain               without presets, to compare the memory with

Takes: a minute or two for 500 requests on 2 cores; a bar shows the progress.
Writes: nothing but its table on stdout; with --json FILE also the report.

The seed determines the presets and the requests: up to 48 at once, streamed or not, some without a
preset, some with one that can't run, some cancelled while they wait or draw; and the cache has too
few blocks, so that requests lose theirs. Some are sampled with `reproducible: true` and repeated
alone. The status is 1 if the manager ends or gets stuck, a request fails without a reason or has
more tokens than it may, a preset is given up, a request that has ended keeps its place, more
samples part alone than rounding explains (1 in 20), or, of 400 requests or more, the memory grows
by more than 32 MiB after the first third.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.lib.command import finish, parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    options = parser("flood", __doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--requests", type=int, default=500)
    options.add_argument("--presets", type=int, default=200, help="how many different presets")
    options.add_argument("--repeats", type=int, default=20, help="samples to repeat alone")
    options.add_argument("--plain", action="store_true", help="no request has a preset")
    options.add_argument("--json", type=Path, help="the file for the report")
    return options.parse_args(arguments)


def main() -> None:
    """Runs, prints the table, and exits with 1 if something failed."""
    options = parse()
    from scripts.lib.flood.report import table
    from scripts.lib.flood.run import run

    report = run(options)
    finish(report, table(report), report.wrong, options.json)


if __name__ == "__main__":
    main()
