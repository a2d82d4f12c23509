"""The steps of a batch: which stage runs on which rows, with which arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from temperament.batch.host_chains import Numbers, numbers_of
from temperament.batch.ramp import Ramp
from temperament.ops.automata import Texts
from temperament.ops.inputs import Column, Ends, Sequences, Tokens
from temperament.stages import BY_NAME
from temperament.stages.base import Need

Argument = Column | Tokens | Sequences | Texts


@dataclass(frozen=True, slots=True)
class BatchStep:
    """One stage for some rows of a batch."""

    stage: str
    # [n] int64: the rows, None for all. In an expanded step, [rows] bool: the rows that take part.
    rows: Tensor | None
    # by parameter
    arguments: dict[str, Argument]
    # [n] int64, for a stage that draws random numbers
    seed: Tensor | None = None
    # for a stage that needs the ends of the text
    ends: Ends | None = None
    # by parameter, for those that follow a schedule; `arguments` has their values at its start
    ramps: dict[str, Ramp] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[Need]:
        """Returns the inputs that the stage reads beside its arguments."""
        return BY_NAME[self.stage].needs


@dataclass(frozen=True)
class CandidateSteps:
    """Stages that run on the candidates of some rows. Their steps' `rows` index these rows."""

    # the number of candidates of a row
    width: int
    # [n] int64: the rows of the batch, None for all
    rows: Tensor | None
    # top-k and a temperature before it: they decide whether the candidates suffice
    opening: Sequence[BatchStep]
    # the stages after top-k
    rest: Sequence[BatchStep]

    @cached_property
    def numbers(self) -> Numbers | None:
        """Returns the parameters of the rows if the steps can run compiled."""
        return numbers_of(self.opening, self.rest)
