#!/usr/bin/env bash
# Guess: between two operators torch's threads on a CPU wait asleep, or look for more work for some
#   microseconds. So a program's own threads have the processors between a forward pass and the next.
# Fact: each operator that runs on several threads leaves all but one of them spinning for some 5 to
#   10 ms. What else wants these processors then gets half of each: a sampler on threads of its own
#   took 5.9 ms instead of 3.4.
# Package: torch 2.13.0 for x86 Linux, with the libgomp that it brings; it needs two processors.
# Why it matters: a step of a small model takes as long. A sampler belongs on torch's own threads
#   (OpenMP's team), or in an operator. OMP_WAIT_POLICY=passive ends it, for torch's speed too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 numpy==2.3.5
observe <<'PY'
import os
import statistics
import subprocess
import sys
import time

if len(sys.argv) == 1:
    for policy in (None, "passive"):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP"))}
        if policy:
            environment["OMP_WAIT_POLICY"] = policy
        for threads in (1, 2):
            print(f"OMP_WAIT_POLICY {policy}, {threads} threads:", flush=True)
            subprocess.run([sys.executable, __file__, str(threads)], env=environment, check=True)
else:
    import torch

    torch.set_num_threads(int(sys.argv[1]))
    numbers, spent = torch.zeros(2**22), []
    for _ in range(30):
        numbers.add_(1)
        start = time.process_time()
        time.sleep(0.03)
        spent.append(time.process_time() - start)
    milliseconds = statistics.median(spent) * 1e3
    print(f"{milliseconds:.2f} ms of processor time in a sleep of 30 ms", file=sys.stderr)
    print("  processor time while the program slept:", "over 1 ms" if milliseconds > 1 else "none")
PY
expect <<'SEEN'
OMP_WAIT_POLICY None, 1 threads:
  processor time while the program slept: none
OMP_WAIT_POLICY None, 2 threads:
  processor time while the program slept: over 1 ms
OMP_WAIT_POLICY passive, 1 threads:
  processor time while the program slept: none
OMP_WAIT_POLICY passive, 2 threads:
  processor time while the program slept: none
SEEN
