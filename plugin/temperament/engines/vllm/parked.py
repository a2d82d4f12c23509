"""What stages remember of requests that have left a runner, in case they were only preempted."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import Tensor

from temperament.batch.states import Snapshot
from temperament.plan.wire import KEY

if TYPE_CHECKING:
    from vllm import SamplingParams

MOST = 256  # requests, the latest

# How many tokens a request's prompt has, and all of its tokens: [n] of an integer type.
Text = tuple[int, Tensor]


class Parked:
    """States by request. Whether one has ended or comes back isn't told to a processor."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[SamplingParams, Text, Snapshot]] = OrderedDict()
        self._next = 0

    def put(self, params: SamplingParams, saved: Snapshot, text: Text) -> None:
        """Keeps the state of a request that leaves."""
        if not saved:
            return
        self._known[self._next] = params, text, saved
        self._next += 1
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def take(self, params: SamplingParams, text: Text) -> Snapshot | None:
        """The state of a request that comes back with the tokens that it left with.

        Its parameters are the same object where runner and scheduler share a process, and shared
        by the samples of one request; elsewhere they have the same chain. So the tokens decide:
        what a stage remembers follows from the chain and them. They are compared only where
        lengths and chains are equal, since that waits for the device.
        """
        chain = (params.extra_args or {}).get(KEY)
        alike = [
            (other is not params, number)
            for number, (other, had, _) in self._known.items()
            if (other is params or (other.extra_args or {}).get(KEY) == chain) and _same(had, text)
        ]
        return self._known.pop(min(alike)[1])[2] if alike else None


def _same(one: Text, other: Text) -> bool:
    """Whether these are one text. A placeholder (-1) of V1's async scheduling is any token."""
    if one[0] != other[0] or one[1].shape != other[1].shape:
        return False
    return bool(((one[1] == other[1]) | (one[1] < 0)).all())
