"""The logits processor of a manager: presets in Transformers' continuous batching.

Only Transformers 5 has this interface, so the module is imported once there is a manager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
)

from temperament.batch.arrays import to_device
from temperament.engines.guard import BATCH
from temperament.engines.transformers.batched_rows import NO_PRESET, BatchedRows, logger


class Before(LogitsProcessor):
    """Keeps the logits as they are before Transformers' own temperature, top_k and top_p."""

    supports_continuous_batching = True

    def __init__(self) -> None:
        self.logits: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Returns the scores as they are."""
        self.logits = scores.clone()
        return scores


class BatchedPresets(ContinuousBatchingLogitsProcessor):
    """Runs each request's preset on its row: `add_request(ids, preset=...)`.

    `checks` has a check for each argument of `add_request`: it returns whether the value has the
    right type, and raises if it can't run; both fail the one request. `rows` builds the rows
    when the first request is to draw a token: only then their number is known. `before` has
    the logits as they are before other processors, which are undone in the rows with a preset; None
    if no others run ahead. `count("batch")` is called for each batch that goes on without its
    presets after an internal error.
    """

    ignored_kwargs = ()

    def __init__(
        self,
        checks: Mapping[str, Callable[[Any], bool]],
        rows: Callable[[], BatchedRows],
        before: Before | None,
        count: Callable[[str], None],
    ) -> None:
        self._count = count
        self.supported_kwargs = {
            name: _type_that_checks(name, check) for name, check in checks.items()
        }
        self._build = rows
        self._before = before
        self.rows: BatchedRows | None = None
        # the rows of the batch with a preset, and their slots: [rows]
        self._index = np.zeros(0, dtype=np.int64)
        self._slots = np.zeros(0, dtype=np.int64)

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Marks every row as one without a preset."""
        int32_tensor.fill_(NO_PRESET)

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        """Returns [requests] int32 the slots of the requests that draw a token in the next step."""
        states = [request.state for request in requests_with_new_token]
        try:
            if self.rows is None:
                self.rows = self._build()
            slots = self.rows.place(states)
        except Exception:  # it would end the manager for everybody
            logger.exception("temperament: internal error: this batch goes on without presets")
            self._count(BATCH)
            slots = np.full(len(states), NO_PRESET, dtype=np.int64)
        self._index = np.flatnonzero(slots != NO_PRESET)
        self._slots = slots[self._index]
        return torch.from_numpy(slots.astype(np.int32))

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """Returns [rows, vocab] float32 scores, changed in place.

        Rows after those that draw a token are padding. The slots in `tensor_arg` are those that
        `prepare_tensor_args` returned for this step.
        """
        if self._before is not None:
            logits, self._before.logits = self._before.logits, None
        else:
            logits = scores
        if self.rows is None or not len(self._slots):
            return scores
        assert logits is not None
        if logits is scores and len(self._slots) == len(scores):
            return self.rows.run(scores, self._slots)
        index = to_device(self._index, scores.device)
        scores.index_copy_(0, index, self.rows.run(logits.index_select(0, index), self._slots))
        return scores


def _type_that_checks(name: str, check: Callable[[Any], bool]) -> type:
    """Returns a type of this name, whose instances are the values that `check` accepts.

    The manager checks a request's arguments by their types alone, before the request begins; an
    error there fails this request with its message, and no other.
    """

    class Checking(type):
        def __instancecheck__(cls, value: object) -> bool:
            return check(value)

    return Checking(name, (), {})
