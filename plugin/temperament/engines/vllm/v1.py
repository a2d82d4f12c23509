"""The V1 runner: its batch is persistent, and requests move between its rows.

The runner reports which requests join, leave and move. It keeps a list of each request's output
tokens, from which we read them, so a preempted request that comes back has its history.
"""

from __future__ import annotations

import time
from functools import partial
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from vllm.logger import init_logger

from temperament.batch.arrays import Slots
from temperament.batch.host_chains import SHORTEST
from temperament.batch.rows import Rows
from temperament.compiled.prepared import prepare
from temperament.engines.guard import Guard
from temperament.engines.vllm import embeddings
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.requests import request_of
from temperament.engines.vllm.snapshots import Snapshots, Text
from temperament.engines.vllm.tokenizer import token_bytes
from temperament.engines.vllm.unseeded import Unseeded
from temperament.engines.vllm.warm_up import warm_up

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate


logger = init_logger("vllm.temperament")

LONG = 5.0  # seconds: a start that took longer to load the samplers has compiled them


class V1Batch:
    """The rows of a V1 runner."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, meter: Meter) -> None:
        self._slots = vllm_config.scheduler_config.max_num_seqs
        self._device = device
        self._vocabulary = partial(token_bytes, vllm_config)
        self._unseeded = Unseeded(vllm_config)
        self._size = vllm_config.model_config.get_vocab_size()
        self._guard = Guard(logger, meter, self._give_up, self._restart)
        # On a CPU vLLM 0.32 can't start an engine in a process that has imported numba. So only a
        # process of the engine's own imports it, which starts no other engine.
        if device.type == "cpu" and self._size >= SHORTEST and parent_process() is not None:
            self._compile()
        warm_up(device, self._new_rows, self._size)
        self._restart()

    @staticmethod
    def _compile() -> None:
        """Compiles samplers; where that fails, they run as torch operators."""
        start = time.monotonic()
        try:
            prepare()
        except Exception as error:  # of a compiler: it must not end the server
            logger.warning("temperament: samplers aren't compiled here: %r", error)
        seconds = time.monotonic() - start
        if seconds > LONG:
            logger.info("temperament: compiled samplers in %.0f s, for later starts too", seconds)

    def _new_rows(self) -> Rows:
        return Rows(self._slots, self._device, self._vocabulary)

    def _restart(self) -> None:
        self.rows = self._new_rows()
        # row -> the runner's list of the request's output, for rows whose stages or modes need it
        self._outputs: dict[int, list[int]] = {}
        # row -> the request's parameters and prompt, for rows that leave a snapshot when they go
        self._params: dict[int, tuple[SamplingParams, list[int]]] = {}
        self._snapshots = Snapshots()

    def update(self, update: BatchUpdate) -> None:
        """Applies the runner's removals, additions and moves, in that order."""
        from vllm.v1.sample.logits_processor import MoveDirectionality

        attempt = self._guard.attempt
        for row in update.removed:
            attempt(row, partial(self._leave, row))
        for row, params, prompt, output in update.added:
            attempt(row, partial(self._leave, row))
            attempt(row, partial(self._enter, row, params, prompt or [], output))
            if prompt is None:
                attempt(row, partial(embeddings.report, params))
        for source, target, direction in update.moved:
            if direction != MoveDirectionality.SWAP:
                attempt(target, partial(self._leave, target))
            attempt(target, partial(self._swap, source, target))

    def apply(self, logits: Tensor) -> Tensor:
        """Returns [rows, vocab] float32 logits, changed in place."""
        slots = np.arange(logits.shape[0], dtype=np.int64)
        if not self.rows.active(slots):
            return logits

        def changes_once() -> bool:
            return self.rows.changes_once(slots, logits.shape[1])

        def switches() -> int:
            return self.rows.switches

        return self._guard.run(logits, slots, self._step, self._row, switches, changes_once)

    def _row(self, row: int) -> Tensor:
        return torch.tensor([row], device=self._device)

    def _step(self, logits: Tensor, slots: Slots, _rows: Tensor | None) -> Tensor:
        self._catch_up([row for row in slots.tolist() if row in self._outputs])
        return self.rows.run(logits, slots)

    def _swap(self, first: int, second: int) -> None:
        self.rows.swap(first, second)
        _swap(self._outputs, first, second)
        _swap(self._params, first, second)

    def _give_up(self, row: int) -> str:
        label = self.rows.label(row)
        self._outputs.pop(row, None)
        self._params.pop(row, None)
        self.rows.clear(row)
        return label

    def _enter(
        self, row: int, params: SamplingParams, prompt: list[int], output: list[int]
    ) -> None:
        request = request_of(params, self._unseeded.seed(), self._size)
        self.rows.write(row, request, prompt, output)
        if not self.rows.follows(row):
            return
        self._outputs[row] = output
        if self.rows.remembers(row):
            self._params[row] = params, prompt
            snapshot = self._snapshots.take(params, _text(prompt, output)) if output else None
            if snapshot is not None:
                self.rows.restore(row, snapshot)

    def _leave(self, row: int) -> None:
        if row in self._params:
            params, prompt = self._params.pop(row)
            self._snapshots.put(params, self.rows.save(row), _text(prompt, self._outputs[row]))
        self._outputs.pop(row, None)
        self.rows.clear(row)

    def _catch_up(self, rows: list[int]) -> None:
        """Appends the tokens that the runner has added to its lists since the last step."""
        if not rows:
            return
        log = self.rows.log
        ends = log.prompt_ends[rows] + [len(self._outputs[row]) for row in rows]
        new = ends - log.ends[rows]
        # `rewrite_output` forgets past entropies, so a row with one new token is not rewritten.
        growing = np.array(rows)[new == 1]
        if growing.size:
            last = torch.tensor([self._outputs[row][-1] for row in growing.tolist()])
            log.append(last.to(log.device), growing)
        for row, count in zip(rows, new, strict=True):
            if count not in (0, 1):
                self.rows.rewrite_output(row, self._outputs[row])


def _text(prompt: list[int], output: list[int]) -> Text:
    return len(prompt), torch.tensor([*prompt, *output])


def _swap(by_row: dict[int, Any], first: int, second: int) -> None:
    at_first, at_second = by_row.pop(first, None), by_row.pop(second, None)
    if at_first is not None:
        by_row[second] = at_first
    if at_second is not None:
        by_row[first] = at_second
