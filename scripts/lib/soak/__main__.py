"""Sends many random presets at once to a real server; aborts, preempts, and repeats them alone.

    ./scripts/soak                               10,000 requests, SmolLM2 on V1
    ./scripts/soak --runner v2 --requests 300    the tiny model on V2
    ./scripts/soak --json soak.json --minutes 20 --seed 3
    ./scripts/soak --plain --captured 0          vLLM without the plugin, to compare with

Takes: 35 minutes for 10,000 requests on 2 cores, 2 minutes for 160; a bar shows the progress.
Writes: nothing but its table on stdout; with --json FILE also the report.

The seed determines the presets: half of them are files that the server loads, named in each of the
four ways, half are fields of the requests. Requests stream or not, are broken off, share prefixes,
want several samples or a grammar, and the KV cache is too small for them. Some are sampled with
`reproducible: true` and repeated when the server is idle: their tokens must be the same wherever
the model's logits (`raw_logprobs`) are the same bit for bit. Then the rows of an offline engine
with presets of the same kind are captured and run alone, and must be the same bit for bit. The
status is 1 if any of this fails, if a process of the server ends, or if a request stays running.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.lib.command import finish, parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    options = parser("soak", __doc__)
    options.add_argument("--runner", choices=["v1", "v2"], default="v1")
    options.add_argument(
        "--model", choices=["smollm2", "tiny"], help="the default is smollm2 on v1, tiny on v2"
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--presets", type=int, default=260, help="how many different presets")
    options.add_argument("--minutes", type=float, default=60, help="no request starts later")
    options.add_argument("--repeats", type=int, default=400, help="requests to repeat alone")
    options.add_argument("--captured", type=int, default=200, help="requests to capture rows of")
    options.add_argument("--plain", action="store_true", help="vLLM without the plugin")
    options.add_argument("--json", type=Path, help="the file for the report")
    return options.parse_args(arguments)


def main() -> None:
    """Runs, prints the table, and exits with 1 if something failed."""
    options = parse()
    from scripts.lib.soak.report import table
    from scripts.lib.soak.run import run

    report = run(options)
    finish(report, table(report), report.wrong, options.json)


if __name__ == "__main__":
    main()
