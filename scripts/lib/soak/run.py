"""Starts a server with a KV cache that is too small, and sends it the requests."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import httpx
from integration_tests.harness import captured
from integration_tests.harness.models import ROOT, model_path
from integration_tests.harness.random_presets import write
from integration_tests.harness.server import Runner, Server
from scripts.lib.soak.report import Report, shortened
from scripts.lib.soak.requests import MODEL, Asker, Request, plain
from scripts.lib.soak.sending import Drawn, attempt, metrics, parting
from scripts.lib.soak.watch import Watch
from tqdm import tqdm

from temperament.studio.remote import LIMITS

AT_ONCE = 32

PATIENCE = 600  # seconds until the server answers

BLOCKS: dict[Runner, int] = {"v1": 22, "v2": 24}  # of 32 tokens: too few for 32 requests


def run(options: argparse.Namespace) -> Report:
    """Starts a server, soaks it, and captures rows."""
    runner: Runner = options.runner
    report = Report(f"./scripts/soak {' '.join(sys.argv[1:])}".strip(), runner, options.seed)
    name = options.model or MODEL[runner]
    model = model_path(name)
    asker = Asker(runner, name, options.seed, options.presets, prompt_ids(model))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), asker.files)
        bar = tqdm(desc="vllm serve", bar_format="{desc}: {elapsed}", file=sys.stderr)
        arguments = server_arguments(runner, Path(folder))

        def waiting(_: float) -> None:
            bar.update(0)

        env = {"VLLM_PLUGINS": "none"} if options.plain else {}
        with Server(
            model, runner, arguments, env=env, waiting=waiting, timeout=PATIENCE, forked=False
        ) as server:
            bar.close()
            asyncio.run(watched(server, asker, options, report))
    if options.captured:
        rows = captured.run(runner, model_path("tiny"), options.captured, options.seed)
        report.captured = asdict(rows)
    return report


async def watched(
    server: Server, asker: Asker, options: argparse.Namespace, report: Report
) -> None:
    """The soak, with somebody who looks at the server."""
    watch = Watch(server, report)
    task = asyncio.create_task(watch.run())
    begin = time.monotonic()
    try:
        await soak(server, asker, options, report, watch)
    except httpx.HTTPError as error:
        report.failures.append(f"the server can't be reached: {error!r}")
    report.seconds = round(time.monotonic() - begin, 1)
    task.cancel()
    watch.finish()
    log = server.log.read_text(errors="replace")
    report.errors_in_log = [line[:300] for line in log.splitlines() if " ERROR " in line][:20]


async def soak(
    server: Server, asker: Asker, options: argparse.Namespace, report: Report, watch: Watch
) -> None:
    """Sends everything, then the samples once more."""
    numbers = iter(range(options.requests))
    kept: list[tuple[Request, Drawn]] = []
    kinds: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    seen: set[str] = set()
    end = time.monotonic() + options.minutes * 60
    async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=LIMITS) as client:

        async def worker() -> None:
            for number in numbers:
                if time.monotonic() > end or not watch.alive:
                    return
                request = asker.request(number)
                request = plain(request) if options.plain else request
                status, message, drawn = await attempt(client, request)
                statuses[str(status)] += 1
                kinds.update(request.kinds)
                seen.add(request.preset)
                bar.update()
                report.requests += 1
                report.tokens += sum(map(len, drawn))
                if status == 400:
                    refusals[shortened(message)] += 1
                elif status not in {200, "client went away"}:
                    report.failures.append(f"request {number}: {status}: {message}")
                if request.sampled and status == 200:
                    kept.append((request, drawn))

        with tqdm(total=options.requests, desc="soak", file=sys.stderr, mininterval=2) as bar:
            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        report.kinds, report.statuses = dict(kinds), dict(statuses)
        report.refusals, report.presets = dict(refusals.most_common()), len(seen)
        await asyncio.sleep(2)
        counts = await metrics(client)
        report.left_running = int(counts["vllm:num_requests_running"])
        report.preemptions = int(counts["vllm:num_preemptions_total"])
        report.prefix_hits = int(counts["vllm:prefix_cache_hits_total"])
        found: Counter[str] = Counter()
        repeats = 0 if options.plain else options.repeats
        for request, drawn in tqdm(kept[:repeats], desc="alone", file=sys.stderr):
            status, message, again = await attempt(client, request)
            if status != 200:
                report.failures.append(f"request {request.number} alone: {status}: {message}")
                continue
            for sample, (together, alone) in enumerate(zip(drawn, again, strict=True)):
                kind = parting(together, alone, asker.remembers[request.preset])
                found[kind] += 1
                if kind == "parted":
                    tokens = [[token for token, _ in one] for one in (together, alone)]
                    equal = [a[1] == b[1] for a, b in zip(together, alone, strict=False)]
                    where = f"request {request.number}, sample {sample}, {request.preset}"
                    report.parted.append(f"{where}: {tokens[0]}, alone {tokens[1]}; {equal}")
        report.repeated = dict(found)


def prompt_ids(model: Path) -> list[int]:
    """The ids of a long text in two languages."""
    from transformers import AutoTokenizer

    text = "".join(
        (ROOT / name).read_text("utf-8")
        for name in ("docs/parameters.md", "docs/parameters.zh-CN.md")
    )
    return list(AutoTokenizer.from_pretrained(model)(text)["input_ids"])


def server_arguments(runner: Runner, folder: Path) -> list[str]:
    """Those of `vllm serve`: with presets of a folder, and too small a KV cache."""
    return [
        *("--served-model-name", "m"),
        *("--dtype", "float32"),
        *("--max-model-len", "512"),
        *("--max-num-seqs", str(AT_ONCE)),
        *("--block-size", "32"),
        *("--num-gpu-blocks-override", str(BLOCKS[runner])),
        *("--logprobs-mode", "raw_logprobs"),
        *("--additional-config", json.dumps({"temperament": {"presets": [str(folder)]}})),
    ]
