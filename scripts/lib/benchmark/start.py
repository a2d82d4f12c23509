"""The seconds until a server is ready, with the plugin and without it."""

from __future__ import annotations

import statistics
import time

from tqdm import tqdm


def run_start(quick: bool) -> dict[str, list[float]]:
    """Seconds until a server is ready, the starts with the plugin and without taken in turns."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    path = model_path("tiny" if quick else "smollm2")
    plugins = {"with the plugin": "temperament", "without": "none"}
    starts: dict[str, list[float]] = {name: [] for name in plugins}
    for _ in tqdm(range(1 if quick else 6), desc="starts", disable=None):
        for name, plugin in plugins.items():
            begin = time.perf_counter()
            with Server(
                path, "v1", ["--max-model-len", "2048"], env={"VLLM_PLUGINS": plugin}, forked=False
            ):
                starts[name].append(time.perf_counter() - begin)
    return {name: found[1:] or found for name, found in starts.items()}  # the first warms up


def start_table(starts: dict[str, list[float]]) -> str:
    """Markdown: a line with the plugin, one without."""
    lines = [
        f"| {name} | {statistics.median(found):.1f} | {min(found):.1f} to {max(found):.1f} |"
        for name, found in starts.items()
    ]
    return "\n".join(["| | ready after, s | of |", "| --- | --- | --- |", *lines])
