"""Runs a manager whose cache is too small, and sends it the requests."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from typing import Any

import psutil
import torch
from integration_tests.harness.models import model_path
from scripts.lib.flood.report import Report
from scripts.lib.flood.requests import Asker, Request
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    ContinuousBatchingConfig,
    GenerationConfig,
)
from transformers.generation.continuous_batching.requests import RequestState

from temperament.engines.transformers import attach
from temperament.engines.transformers.batched_processor import BatchedPresets

AT_ONCE = 48
PATIENCE = 120.0  # seconds without a result
BLOCKS = 48  # of 8 tokens: too few for 48 requests


def run(options: argparse.Namespace) -> Report:
    """Runs a manager, floods it, and repeats samples alone."""
    command = f"./scripts/flood --requests {options.requests} --seed {options.seed}"
    report = Report(command + " --plain" * options.plain, options.seed)
    torch.set_num_threads(1)
    # Each request that can't run is logged with its stack; its reason is in the report.
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)
    path = model_path("tiny")
    model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    manager = model.init_continuous_batching(
        GenerationConfig(do_sample=True, eos_token_id=2),
        ContinuousBatchingConfig(num_blocks=BLOCKS, page_size=8, max_batch_tokens=64),
    )
    attached = attach(manager, AutoTokenizer.from_pretrained(path))
    asker = Asker(attached, options.seed, options.presets, options.plain)
    report.presets = 0 if options.plain else options.presets
    flood = Flood(manager, asker, options.requests, report)
    original = RequestState.create_equivalent_initial_request

    def counted(state: Any) -> Any:
        report.offloaded += 1
        return original(state)

    RequestState.create_equivalent_initial_request = counted
    begin = time.monotonic()
    try:
        manager.start()
        flood.run()
        flood.repeat(options.repeats)
    finally:
        RequestState.create_equivalent_initial_request = original
        manager.stop(block=True)
        manager.destroy()
    report.seconds = round(time.monotonic() - begin, 1)
    report.given_up = attached.fallbacks
    return report


class Flood:
    """Sends the requests, keeps `AT_ONCE` of them going, and looks at the memory."""

    def __init__(self, manager: Any, asker: Asker, count: int, report: Report) -> None:
        self._manager, self._asker, self._count, self._report = manager, asker, count, report
        self._going: dict[str, Request] = {}
        self._sampled: list[Request] = []
        self._ends: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._memory: list[float] = []

    def run(self) -> None:
        """Until all have ended."""
        report = self._report
        numbers = iter(range(self._count))
        last = time.monotonic()
        with tqdm(total=self._count, desc="flood", file=sys.stderr, mininterval=2) as bar:
            while self._fill(numbers) or self._going:
                bar.update(report.requests - len(self._going) - bar.n)
                output = self._manager.get_result(timeout=0.05)
                self._cancel(output is None)
                if output is not None:
                    last = time.monotonic()
                    self._take(output)
                elif not self._manager.is_running():
                    error = self._manager.background_thread_status.fatal_error
                    report.failures.append(f"the manager ended: {error!r}")
                    break
                elif self._going and time.monotonic() - last > PATIENCE:
                    report.failures.append(f"stuck: {sorted(self._going)}")
                    break
        report.ends, report.kinds = dict(self._ends), dict(self._kinds)
        report.reasons = dict(self._reasons.most_common())
        self._weigh()
        warm = self._memory[len(self._memory) // 3]
        report.memory = {
            "first": self._memory[0],
            "warm": warm,
            "last": self._memory[-1],
            "growth": round(self._memory[-1] - warm, 1),
        }

    def repeat(self, count: int) -> None:
        """Repeats samples alone, and sees that those that have ended keep no place."""
        found: Counter[str] = Counter()
        for request in self._sampled[:count]:
            if not self._manager.is_running():
                return
            name = f"{request.name} alone"
            self._manager.add_request(request.prompt, request_id=name, **request.arguments)
            output = self._wait(name)
            same = output is not None and output.generated_tokens == request.tokens
            found["same" if same else "parted"] += 1
        self._report.repeated = dict(found)
        rows = next(
            each.rows
            for each in self._manager.logit_processor.logits_processor
            if isinstance(each, BatchedPresets)
        )
        # Those that have ended are forgotten when the next one comes.
        self._report.left = max(0, len(rows) - 1) if rows is not None and found else 0

    def _wait(self, name: str) -> Any:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._manager.is_running():
            output = self._manager.get_result(timeout=0.5)
            if output is not None and output.request_id == name and output.is_finished():
                return output
        return None

    def _fill(self, numbers: Any) -> bool:
        """Sends requests until `AT_ONCE` are going; returns whether more may come."""
        while len(self._going) < AT_ONCE:
            number = next(numbers, None)
            if number is None:
                return False
            request = self._asker.request(number)
            self._kinds.update(request.kinds)
            self._report.requests += 1
            if number % 10 == 0:
                self._weigh()
            if request.refusal == "door":
                self._end("refused at the door", request.arguments["reason"])
                continue
            self._manager.add_request(request.prompt, request_id=request.name, **request.arguments)
            self._going[request.name] = request
        return True

    def _cancel(self, idle: bool) -> None:
        """Cancels the requests whose time has come; a result has come, or none for a while."""
        for name, request in [*self._going.items()]:
            if request.cancelled_after is None:
                continue
            request.cancelled_after -= 1
            if request.cancelled_after < 0 or idle:
                self._manager.cancel_request(name)
                del self._going[name]
                self._end("cancelled")

    def _take(self, output: Any) -> None:
        request = self._going.get(output.request_id)
        if request is None or not output.is_finished():
            return  # of one that was cancelled, or a part of a stream
        del self._going[request.name]
        request.tokens = list(output.generated_tokens)
        self._report.tokens += len(request.tokens)
        if output.error is not None:
            self._end("can't run" if request.refusal else "failed", output.error)
            if not request.refusal:
                self._report.failures.append(f"{request.name}: {output.error}")
            return
        self._end("finished")
        if request.refusal:
            self._report.failures.append(f"{request.name} ran: {request.arguments['preset']}")
        if not 0 < len(request.tokens) <= request.most:
            count = len(request.tokens)
            self._report.failures.append(f"{request.name}: {count} tokens of {request.most}")
        if request.sampled:
            self._sampled.append(request)

    def _end(self, how: str, why: str = "") -> None:
        self._ends[how] += 1
        if why:
            self._reasons[why.splitlines()[-1][:160]] += 1

    def _weigh(self) -> None:
        self._memory.append(round(psutil.Process().memory_info().rss / 2**20, 1))
