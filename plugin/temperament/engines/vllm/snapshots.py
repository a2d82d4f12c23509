"""Snapshots of requests that have left a runner, in case they were only preempted."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor

from temperament.batch.states import Snapshot
from temperament.plan.wire import KEY

if TYPE_CHECKING:
    from vllm import SamplingParams

MAX_SNAPSHOTS = 256  # the latest are kept

# The number of tokens in a request's prompt, and all of its tokens: [tokens] of an integer type.
Text = tuple[int, Tensor]


class Snapshots:
    """Snapshots by request. vLLM doesn't report whether a request that leaves will come back."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[SamplingParams, Text, Snapshot]] = OrderedDict()
        self._next = 0

    def put(self, params: SamplingParams, snapshot: Snapshot, text: Text) -> None:
        """Keeps the snapshot of a request that leaves."""
        if not snapshot:
            return
        self._kept[self._next] = params, text, snapshot
        self._next += 1
        if len(self._kept) > MAX_SNAPSHOTS:
            self._kept.popitem(last=False)

    def take(self, params: SamplingParams, text: Text) -> Snapshot | None:
        """Removes and returns the snapshot of a request that comes back, None if there is none.

        The request is recognised by its chain and its tokens, which determine the snapshot. Among
        several that fit, one with the same `SamplingParams` object is preferred: if runner and
        scheduler share a process, it belongs to the same request (or to another sample of it).
        Tokens are compared last, since that waits for the device.
        """
        chain = (params.extra_args or {}).get(KEY)
        matching = [
            (other is not params, number)
            for number, (other, kept, _) in self._kept.items()
            if (other is params or (other.extra_args or {}).get(KEY) == chain)
            and _same_text(kept, text)
        ]
        return self._kept.pop(min(matching)[1])[2] if matching else None


def _same_text(kept: Text, text: Text) -> bool:
    """Whether two texts are equal. A placeholder (-1) of V1's async scheduling fits any token."""
    if kept[0] != text[0] or kept[1].shape != text[1].shape:
        return False
    return bool(((kept[1] == text[1]) | (kept[1] < 0)).all())
