"""What stages remember of requests that have left a runner, in case they were only preempted."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from temperament.batch.states import Snapshot
from temperament.plan.wire import KEY

if TYPE_CHECKING:
    from vllm import SamplingParams

MOST = 256  # requests, the latest

# How many tokens a request's prompt had, and how many there were in all.
Length = tuple[int, int]


class Parked:
    """States by request. Whether one has ended or comes back isn't told to a processor."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[SamplingParams, Length, Snapshot]] = OrderedDict()
        self._next = 0

    def put(self, params: SamplingParams, saved: Snapshot, length: Length) -> None:
        """Keeps the state of a request that leaves."""
        if not saved:
            return
        self._known[self._next] = params, length, saved
        self._next += 1
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def take(self, params: SamplingParams, length: Length) -> Snapshot | None:
        """The state of a request that comes back with as many tokens as it left with.

        Its parameters are the same object where runner and scheduler share a process; elsewhere
        they have the same chain.
        """
        text = (params.extra_args or {}).get(KEY)
        alike = [
            (other is not params, number)
            for number, (other, had, _) in self._known.items()
            if had == length and (other is params or (other.extra_args or {}).get(KEY) == text)
        ]
        return self._known.pop(min(alike)[1])[2] if alike else None
