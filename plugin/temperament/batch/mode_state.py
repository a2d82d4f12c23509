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
    """The state of the rows of a batch: [rows] int64 each, but for the last three.

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
    # [rows, MAX_DEPTH] int64: the modes that `back` returns to, a ring
    stack: Tensor
    # [rows, steps] int64: the entropy in nats, as the bits of a float64, of the last step and of
    # the step after each of its draft tokens; and the positions of these steps. The step of
    # position i is at i % steps.
    nats: Tensor
    nats_position: Tensor

    @classmethod
    def unpack(cls, packed: Tensor) -> ModeState:
        """Returns the state of [rows, width] int64."""
        stack, entropies = packed[:, _STACK:_NATS], packed[:, _NATS:]
        nats, positions = entropies.chunk(2, 1)
        columns = [*packed[:, :_STACK].unbind(1), stack, nats, positions]
        return cls(*columns)

    def pack(self) -> Tensor:
        """Returns [rows, width] int64."""
        columns = [getattr(self, name) for name in _NAMES[:_STACK]]
        return torch.cat([torch.stack(columns, 1), self.stack, self.nats, self.nats_position], 1)

    def copy(self) -> ModeState:
        """Returns a state that can be changed without changing this one."""
        return replace(self)

    def previous_mode(self) -> Tensor:
        """Returns [rows] int64: the mode that `back` returns to; undefined if `depth` is 0."""
        return self.stack.gather(1, (self.top % MAX_DEPTH)[:, None])[:, 0]


# The columns of a packed state: a field each, then the stack and the entropies.
_NAMES = [field.name for field in fields(ModeState)]
AUTOMATON, READ, _STACK = (_NAMES.index(name) for name in ("automaton", "read", "stack"))
_NATS = _STACK + MAX_DEPTH


def width(steps: int) -> int:
    """Returns the number of columns of a packed state with the entropies of `steps` steps."""
    return _NATS + 2 * steps


def packed_after(text: Tracer, automaton: int, read: int, steps: int) -> Tensor:
    """Returns [width] int64: the state after a text that the host has read.

    `automaton` is the number of its automaton, `read` the number of history tokens in the text.
    """
    stack = text.stack + [0] * (MAX_DEPTH - len(text.stack))
    no_steps, no_entropies = (0, 0), [0] * steps + [-1] * steps
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
            *stack,
            *no_entropies,
        ],
        dtype=torch.int64,
    )
