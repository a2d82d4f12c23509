"""Measures the cost of a step beside every peer's, on the same logits, in one run.

    ./scripts/benchmark                   the ops, as a table
    ./scripts/benchmark serve             tokens/s of a real `vllm serve`
    ./scripts/benchmark start             seconds until a server is ready
    ./scripts/benchmark profile           the parts of a server's step
    ./scripts/benchmark compile           the same passes by `torch.compile`
    ./scripts/benchmark modes             a batch whose rows all have modes, beside one without
    ./scripts/benchmark batching          Transformers' continuous batching with 8 presets, without
    ./scripts/benchmark host              the host's part of a step, without the kernels
    ./scripts/benchmark launches          launches and passes of the kernels, counted
    ./scripts/benchmark ways              NumPy's sort and partition beside torch's
    ./scripts/benchmark scale             many preset files, many requests, many modes
    ./scripts/benchmark disk              preset files on a slow disk
    ./scripts/benchmark chains            samplers as torch operators, and compiled
    ./scripts/benchmark --write           writes the report
    ./scripts/benchmark --only 'top_p'    the works whose names match this pattern; with
                                          --write the others stay as they are

Takes, on 2 cores: ops and serve about half an hour each, batching some 10 minutes, start 6,
profile, compile, modes, host, launches, ways, scale, disk and chains a minute or two each; a bar
shows the progress.
--quick (small and few) is for tests.
Writes: nothing but a table on stdout; with --write also the table's part of
docs/reports/benchmarks*.md, docs/benchmarks/NAME.json, and the figure of the ops. launches, scale,
disk and chains have no part in that report: scripts/generate_docs writes theirs, into
docs/benchmarks-gpu*.md, docs/reports/scale*.md and docs/benchmarks*.md. modes, batching, host and
ways have none.

TEMPERAMENT_KERNELS=off measures samplers as torch operators, as where numba isn't installed.

A `pass` is one `copy_` of the logits into a buffer that exists, measured beside each cost: the
machine's unit. Peers: Transformers' processors, vLLM's sampler functions, a Python loop
over rows (as vLLM's adapter for per-request processors has), a compiled naive version, and
llama.cpp row by row (from the package `xllamacpp`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from typing import Any

from scripts.lib.command import ROOT, parser
from scripts.lib.documents import with_part

UNWRITTEN = ("modes", "batching", "host", "ways")
GENERATED = ("launches", "scale", "disk", "chains")  # scripts/generate_docs writes their tables
PROGRAMS = ("ops", "serve", "start", "profile", "compile", *GENERATED, *UNWRITTEN)


def main() -> None:
    """Measures, prints, and with --write also writes the report."""
    options = parser("benchmark", __doc__)
    options.add_argument("program", nargs="?", choices=PROGRAMS, default="ops")
    options.add_argument("--json", action="store_true", help="print the numbers, not the table")
    options.add_argument("--write", action="store_true", help="into docs/reports/benchmarks*.md")
    options.add_argument("--only", default="", help="a pattern of the names of works")
    options.add_argument("--quick", action="store_true", help="small and few: does it run?")
    chosen = options.parse_args()
    if chosen.write and chosen.program in UNWRITTEN:
        options.error(f"{chosen.program} has no part in the report: leave --write out")
    from scripts.lib.benchmark.machine import header

    table, numbers = run(chosen.program, chosen.quick, chosen.only, chosen.write)
    machine = header()
    numbers = {**machine, **numbers}
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    text = f"{facts}.\n\n{table}"
    if chosen.write:
        write(chosen.program, text, numbers)
    print(json.dumps(numbers) if chosen.json else text)


def run(program: str, quick: bool, only: str, write: bool) -> tuple[str, dict[str, Any]]:
    """Returns (the table in Markdown, the numbers) of a program; `write` draws the ops' figure."""
    if program == "ops":
        from scripts.lib.benchmark import ops

        costs = ops.run_ops(quick, only)
        if write:
            costs = ops.merge(costs) if only else costs
            ops.plot(costs, ROOT / "docs" / "benchmarks" / "ops.png")
        return ops.ops_table(costs), {"costs": [asdict(cost) for cost in costs]}
    if program == "serve":
        from scripts.lib.benchmark import serve

        served = serve.run_serve(quick, only)
        return serve.serve_table(served), {"served": [asdict(each) for each in served]}
    if program == "start":
        from scripts.lib.benchmark import start

        seconds = start.run_start(quick)
        return start.start_table(seconds), {"seconds": seconds}
    if program == "profile":
        from scripts.lib.benchmark import profile

        shares = profile.run_profile(quick)
        return profile.profile_table(shares), {"shares": shares}
    if program == "compile":
        from scripts.lib.benchmark import compile as passes

        compiled = passes.run_compile(quick)
        return passes.compile_table(compiled), {"compiled": [asdict(each) for each in compiled]}
    if program == "batching":
        from scripts.lib.benchmark import batching

        numbers = batching.run_batching(quick)
        return batching.batching_table(numbers), numbers
    if program == "host":
        from scripts.lib.benchmark import host

        microseconds = host.run_host(quick)
        return host.host_table(microseconds), {"microseconds": microseconds}
    if program == "launches":
        from scripts.lib.benchmark import launches

        counted = launches.run_launches(only)
        return launches.launches_table(counted), counted
    if program == "ways":
        from scripts.lib.benchmark import ways

        milliseconds = ways.run_ways(quick, only)
        return ways.ways_table(milliseconds), {"milliseconds": milliseconds}
    if program == "chains":
        from scripts.lib.benchmark import chains
        from scripts.lib.benchmark.machine import header
        from scripts.lib.report_tables import chains as chains_table

        numbers = {**header(), **chains.run_chains(quick)}
        return chains_table(numbers, "en"), numbers
    module = import_module(f"scripts.lib.benchmark.{program}")  # disk, modes or scale
    numbers = getattr(module, f"run_{program}")(quick)
    return getattr(module, f"{program}_table")(numbers), numbers


def write(part: str, text: str, numbers: dict[str, Any]) -> None:
    """Writes a table between its marks in the report's pages, and the numbers to docs/benchmarks/.

    Exits if a page lacks the marks.
    """
    pages = () if part in GENERATED else ("benchmarks.md", "benchmarks.zh-CN.md")
    for name in pages:
        page = ROOT / "docs" / "reports" / name
        before = page.read_text(encoding="utf-8")
        if f"<!-- /{part} -->" not in before:
            raise SystemExit(f"{page} has no part <!-- {part} --> ... <!-- /{part} -->")
        page.write_text(with_part(before, part, text), encoding="utf-8")
    folder = ROOT / "docs" / "benchmarks"
    folder.mkdir(exist_ok=True)
    text = json.dumps(numbers, indent=1)
    (folder / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
