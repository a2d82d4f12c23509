"""Compiles the kernels for real GPUs, on any machine, and prints what they take of them.

    ./scripts/kernels                    every target, in every size
    ./scripts/kernels sm_90 gfx942       these targets
    ./scripts/kernels --quick sm_90      the size of the benchmarks alone

Takes: some seven minutes of one core; --quick half a minute for each target.
Writes: nothing but Triton's cache, and a table on stdout.

The columns are the registers of a thread, the bytes of its stack, which hold spilled registers, and
the bytes of shared memory of a program; Triton tells only the last of an AMD target. A kernel that
doesn't compile ends it with Triton's error. `plugin/tests/kernels/test_compiled.py` bounds the
numbers of sm_90.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from scripts.lib.command import parser

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")


def main() -> None:
    """Compiles, and prints a line for each kernel as soon as it is done."""
    options = parser("kernels", __doc__)
    options.add_argument("target", nargs="*", default=TARGETS, help="sm_90, gfx942, ...")
    options.add_argument("--quick", action="store_true", help="the size of the benchmarks alone")
    chosen = options.parse_args()
    names = [*chosen.target, *([] if chosen.quick else ["--all"])]
    # Without the interpreter, which can't be left once Triton has read its switch.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.kernels.compiled", *names]
    print(
        "| target | kernel | registers | stack | shared memory |\n| --- | --- | --- | --- | --- |"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            found = json.loads(line)
            size = f", {found['vocabulary']:,} logits" if "vocabulary" in found else ""
            cells = [found["target"], found["kernel"] + size]
            cells += [str(found.get(name, "")) for name in ("reg", "stack", "shared")]
            print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
