"""What decides each row's mode, and how a slot keeps it: one row of integers.

A batch unpacks the rows of its slots, reads tokens and packs them again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from temperament.plan.automata.tracer import Tracer
from temperament.presets.modes import MAX_DEPTH

NO_AUTOMATON = -1


@dataclass(slots=True)
class ModeState:
    """The state of the rows of a batch: [rows] int64 each, but for `stack`.

    Functions that read tokens replace the tensors and never write into them, so that a copy of the
    state is one of references.
    """

    # the number of the row's automaton; NO_AUTOMATON in a slot without modes
    automaton: Tensor
    mode: Tensor
    # of the automaton
    state: Tensor
    # the number of output tokens before the mode began
    entered: Tensor
    # the number of history tokens that were read
    read: Tensor
    # of the stack: the place of its last mode, and the number of its modes
    top: Tensor
    depth: Tensor
    # the number of steps in a row with an entropy above, and below, the mode's bounds
    steps_high: Tensor
    steps_low: Tensor
    # the entropy of the last step in nats, as the bits of a float64, and the step's position
    nats: Tensor
    nats_position: Tensor
    # [rows, MAX_DEPTH] int64: the modes that `back` returns to, a ring
    stack: Tensor

    @classmethod
    def unpack(cls, packed: Tensor) -> ModeState:
        """Returns the state of [rows, FIELDS] int64."""
        columns = [*packed[:, :_STACK].unbind(1), packed[:, _STACK:]]
        return cls(*columns)

    def pack(self) -> Tensor:
        """Returns [rows, FIELDS] int64."""
        columns = [getattr(self, name) for name in _NAMES[:_STACK]]
        return torch.cat([torch.stack(columns, 1), self.stack], 1)

    def copy(self) -> ModeState:
        """Returns a state that can be changed without changing this one."""
        return replace(self)

    def previous_mode(self) -> Tensor:
        """Returns [rows] int64: the mode that `back` returns to; undefined if `depth` is 0."""
        return self.stack.gather(1, (self.top % MAX_DEPTH)[:, None])[:, 0]


# The columns of a packed state: a field each, then the stack.
_NAMES = [field.name for field in fields(ModeState)]
AUTOMATON, READ, _STACK = (_NAMES.index(name) for name in ("automaton", "read", "stack"))
FIELDS = _STACK + MAX_DEPTH


def packed_after(text: Tracer, automaton: int, read: int) -> Tensor:
    """Returns [FIELDS] int64: the state after a text that the host has read.

    `automaton` is the number of its automaton, `read` the number of history tokens in the text.
    """
    stack = text.stack + [0] * (MAX_DEPTH - len(text.stack))
    no_steps, no_entropy = (0, 0), (0, -1)
    return torch.tensor(
        [
            automaton,
            text.mode,
            text.state,
            text.entered,
            read,
            len(text.stack) - 1,
            len(text.stack),
            *no_steps,
            *no_entropy,
            *stack,
        ],
        dtype=torch.int64,
    )
