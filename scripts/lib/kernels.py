"""Compiles the kernels for real GPUs, on any machine, and prints what they take of them.

    ./scripts/kernels                    every target, in every size
    ./scripts/kernels sm_90 gfx942       these targets
    ./scripts/kernels --quick sm_90      the size of the benchmarks alone
    ./scripts/kernels --write            also writes what was found, beside that of other Tritons

Takes: some seven minutes of one core; --quick half a minute for each target.
Writes: nothing but Triton's cache, and a table on stdout; with --write also
docs/benchmarks/kernels.json, of which scripts/generate_docs makes a table.

The columns are the registers of a thread, the bytes of its stack, which hold spilled registers, and
the bytes of shared memory of a program; Triton tells only the last of an AMD target. A kernel that
doesn't compile ends it with Triton's error. `plugin/tests/kernels/test_compiled.py` bounds the
numbers of sm_90.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from typing import Any

from scripts.lib.command import ROOT, parser

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
RESULTS = ROOT / "docs" / "benchmarks" / "kernels.json"


def main() -> None:
    """Compiles, and prints a line for each kernel as soon as it is done."""
    options = parser("kernels", __doc__)
    options.add_argument("target", nargs="*", default=TARGETS, help="sm_90, gfx942, ...")
    options.add_argument("--quick", action="store_true", help="the size of the benchmarks alone")
    options.add_argument("--write", action="store_true", help="into docs/benchmarks/kernels.json")
    chosen = options.parse_args()
    names = [*chosen.target, *([] if chosen.quick else ["--all"])]
    # Without the interpreter, which can't be left once Triton has read its switch.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.kernels.compiled", *names]
    print(
        "| target | kernel | registers | stack | shared memory |\n| --- | --- | --- | --- | --- |"
    )
    results = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            found = json.loads(line)
            results.append(found)
            size = f", {found['vocabulary']:,} logits" if "vocabulary" in found else ""
            cells = [found["target"], found["kernel"] + size]
            cells += [str(found.get(name, "")) for name in ("reg", "stack", "shared")]
            print(f"| {' | '.join(cells)} |", flush=True)
    if chosen.write and not process.returncode:
        write(results)
    sys.exit(process.returncode)


def write(results: list[dict[str, Any]]) -> None:
    """Writes what was found with this Triton, in place of earlier results of the same targets."""
    version = importlib.metadata.version("triton")
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    targets = {each["target"] for each in results}
    earlier = [each for each in kept.get(version, ()) if each["target"] not in targets]
    kept[version] = sorted(earlier + results, key=lambda each: str(each["target"]).rjust(8))
    text = json.dumps(dict(sorted(kept.items())), indent=1)
    RESULTS.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
