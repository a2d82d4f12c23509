"""Sends hostile request bodies and preset files to the middleware, and measures their cost.

    ./scripts/fuzz                             100,000 cases in this process
    ./scripts/fuzz --count 5000 --http 2000    and 2,000 to a real server
    ./scripts/fuzz --seed 7 --minutes 10 --json fuzz.json

Takes: 10 to 20 minutes for 100,000 cases on one core; a bar shows the progress.
Writes: nothing but its table on stdout; with --json FILE also the report.

In process: the middleware with the shipped presets, in front of an application that accepts every
body as vLLM's parser would; and preset files as a catalogue loads them. Each case must end as a
body for the application or as a refusal (400; `TemperamentError`), never as another exception. A
refusal may take 100 ms of processor time (or four times what reading the body as JSON takes) and 64
MiB; one that seems to take more is measured twice more. A worker decodes the admitted bodies and
samples with them, in batches on a small vocabulary: nothing may raise there, no row may lose all of
its tokens and none may become NaN. Over HTTP every answer must be 200 or a 4xx, and the server must
be healthy afterwards. The status is 1 if not.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from scripts.lib.command import finish, parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Returns the options of the command line."""
    options = parser("fuzz", __doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=100_000, help="cases in this process")
    options.add_argument("--minutes", type=float, default=60, help="no case starts later")
    options.add_argument("--http", type=int, default=0, help="requests to a real server")
    options.add_argument("--json", type=Path, help="the file for the report")
    return options.parse_args(arguments)


def main() -> None:
    """Runs, prints the table, and exits with 1 if something failed."""
    options = parse()
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server
    from scripts.lib.fuzz.in_process import run
    from scripts.lib.fuzz.over_http import over_http
    from scripts.lib.fuzz.report import Report, table

    command = f"./scripts/fuzz --seed {options.seed} --count {options.count} --http {options.http}"
    report = Report(command, options.seed)
    begin = time.monotonic()
    run(options, report)
    report.seconds = round(time.monotonic() - begin, 1)
    if options.http:
        arguments = ["--served-model-name", "m", "--dtype", "float32", "--max-model-len", "512"]
        with Server(model_path("smollm2"), "v1", arguments, timeout=600) as server:
            over_http(server, "m", options, report)
    finish(report, table(report), report.failures, options.json)


if __name__ == "__main__":
    main()
