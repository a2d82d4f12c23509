"""The parts of a server's step, by the samples of py-spy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Frames of the worker's stacks, the innermost that is found counts: what a sample was spent on.
PARTS = {
    "the processor": "temperament/",
    "vLLM's sampler": "vllm/v1/sample/",
    "the model": "vllm/model_executor/",
    "attention": "vllm/v1/attention/",
    "vLLM's runner": "vllm/v1/worker/",
}


def run_profile(quick: bool) -> dict[str, float]:
    """The share of a busy worker's time that each part took, from py-spy's samples."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    arguments = ["--served-model-name", "m", "--max-num-seqs", "32", "--max-model-len", "2048"]
    fields = {"temperature": 1.3, "top_p": 0.95, "preset": "default", "ignore_eos": True}
    seconds = 2 if quick else 20
    path = model_path("tiny" if quick else "smollm2")
    with Server(path, "v1", arguments, forked=False) as server, ThreadPoolExecutor(32) as pool:
        client = server.client()
        end = time.monotonic() + seconds + 5

        def ask(_: int) -> None:
            while time.monotonic() < end:
                client.completions.create(
                    model="m", prompt="Once upon a time", max_tokens=48, extra_body=fields
                )

        asked = [pool.submit(ask, number) for number in range(32)]
        time.sleep(3)
        worker = worker_of(server.process.pid)
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(worker)]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stacks"
            options = ["--format", "raw", "--duration", str(seconds), "--rate", "100"]
            subprocess.run(
                [*spy, *options, "--output", str(file)], capture_output=True, text=True, check=True
            )
            stacks = file.read_text().splitlines()
        for one in asked:
            one.result()
    return shares_of(stacks)


def shares_of(stacks: Sequence[str]) -> dict[str, float]:
    """The share of each part in stacks as py-spy writes them: frames by `;`, then a count."""
    counts = dict.fromkeys([*PARTS, "the rest"], 0)
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if "execute_model" not in stack and "sample_tokens" not in stack:
            continue  # waits for the next step
        frames = reversed(stack.split(";"))
        found = (name for frame in frames for name, part in PARTS.items() if part in frame)
        counts[next(found, "the rest")] += int(count)
    total = sum(counts.values())
    if not total:
        raise SystemExit("py-spy saw no step of the worker: is it allowed to look at processes?")
    return {name: count / total for name, count in counts.items()}


def worker_of(server: int) -> int:
    """The process id of the server's worker: the one that holds the model."""
    command = ["ps", "-eo", "pid,sid,rss,args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in listed.stdout.splitlines()[1:])
    processes = [(int(rss), int(pid)) for pid, session, rss, _ in rows if int(session) == server]
    return max(processes)[1]


def profile_table(shares: dict[str, float]) -> str:
    """Markdown: a line for each part."""
    lines = [f"| {name} | {share:.1%} |" for name, share in shares.items()]
    return "\n".join(["| part of a step | share |", "| --- | --- |", *lines])
