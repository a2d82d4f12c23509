"""The description of a stage and its parameters, which validation, planning and documents read.

A stage changes the logits of one row. Its file here defines *what* it is; the file of the same name
in `temperament/ops` defines *how* it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from temperament.stages.kinds import FLOAT32_MAX, Kind, NumberKind

Group = Literal["bias", "penalty", "shape", "cut", "last"]
# What a stage can read beside its parameters:
#   history    the row's tokens
#   matches    for each position of the history, how long a suffix of the history also ends there
#   noise      numbers that depend on the row's seed and position alone
#   state      numbers that the stage keeps for the row from step to step
#   ends       the ids that end the row's text, and its limit of tokens
#   vocabulary the bytes of every token
Need = Literal["history", "matches", "noise", "state", "ends", "vocabulary"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of a stage: a number, a flag, token ids, texts.

    `neutral` is the value with which the stage does nothing. A parameter that only modifies what
    another one turns on has a `default` instead. `low` and `high` bound a number, and are allowed
    themselves unless `low_open` or `high_open`.
    """

    name: str
    kind: Kind
    summary: str
    neutral: Any = None
    default: Any = None
    low: float = -FLOAT32_MAX
    high: float = FLOAT32_MAX
    low_open: bool = False
    high_open: bool = False
    # Other programs' spellings of "off". Each becomes `neutral`.
    off: tuple[Any, ...] = ()
    # Whether a number names one of several things (a version, a token), so that numbers
    # between two others have no meaning.
    choice: bool = False
    # (lowest value, highest value, step) of its slider in the playground, where the range is open
    # or far wider than the values in use. None: the range, in 100 steps.
    slider: tuple[float, float, float] | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, as messages show them."""
        return self.kind.allowed(self)

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers, so that an operator can bound them."""
        return isinstance(self.kind, NumberKind)

    @property
    def scalable(self) -> bool:
        """Whether a preset can set it as a factor of the model's recommended value."""
        return self.numeric and not self.choice

    @property
    def schedulable(self) -> bool:
        """Whether the value can change with the position."""
        return self.numeric and not self.choice

    @property
    def integer(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.kind, NumberKind) and self.kind.integer

    @property
    def unset(self) -> Any:
        """The value of a row that doesn't set this parameter."""
        return self.neutral if self.neutral is not None else self.default


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler: a named change of a row's logits.

    `group` fixes the stage's place in a chain: biases, then penalties, then shapes and cuts (in any
    order that a preset sets), then the stages that must be last. `needs` names what the stage reads
    beside its parameters. `elsewhere` lists well-known programs in which the same name means
    something else.
    """

    name: str
    group: Group
    parameters: tuple[Parameter, ...]
    summary: str
    summary_zh: str
    source: str
    elsewhere: str = ""
    needs: frozenset[Need] = field(default=frozenset())
    # Whether the stage replaces all other cuts.
    replaces_cuts: bool = False
    # Whether the stage reads the sign of a logit: a constant added to all logits changes its
    # result. It needs the model's logits; log-probabilities won't do.
    reads_sign: bool = False
    # Whether the stage breaks ties between equal logits by their token ids. It needs all logits.
    reads_ids: bool = False
    # Whether a larger logit stays the larger one, or becomes equal to the smaller.
    keeps_order: bool = False
    # The parameter that alone says how many of the largest logits stay, with those tied with the
    # last of them; "" if the stage has none. What follows then needs only the largest logits.
    largest_kept: str = ""
    # Whether the stage acts on scores too, where no token is drawn (beam search). Biases and
    # penalties always do.
    scores: bool = False
    # Whether the stage acts at the text's limit alone: without `max_tokens` it does nothing.
    at_the_limit: bool = False
    # Whether the stage itself draws the token, with the row's seed.
    draws: bool = False
    # Whether a row with these values keeps only the most likely token, so that no later stage
    # changes anything.
    greedy_when: Callable[[Mapping[str, Any]], bool] = lambda _: False
    # Why a stage with these values needs the tokenizer, "" if it doesn't. Texts always need it.
    tokenizer_for: Callable[[Mapping[str, Any]], str] = lambda _: ""
    # Whether a stage with these values reads the prompt's tokens (not only how many there are).
    reads_prompt: Callable[[Mapping[str, Any]], bool] = lambda _: False
    # Why a stage with these values needs the ids that end the text, "" if it doesn't.
    ends_for: Callable[[Mapping[str, Any]], str] = lambda _: ""
    # Whether a stage with these values does nothing; by default, whether a parameter is neutral.
    neutral_when: Callable[[Mapping[str, Any]], bool] | None = None

    def is_neutral(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these values leaves the logits as they are."""
        if self.neutral_when is not None:
            return self.neutral_when(values)
        return any(
            values[parameter.name] == parameter.neutral
            for parameter in self.parameters
            if parameter.neutral is not None
        )

    def why_tokenizer(self, values: Mapping[str, Any]) -> str:
        """Why a row with these values needs the tokenizer, "" if it doesn't."""
        if any(parameter.kind.texts(values[parameter.name]) for parameter in self.parameters):
            return "matches texts: the tokenizer must be given"
        return self.tokenizer_for(values)

    @property
    def acts_without_draw(self) -> bool:
        """Whether the stage acts where the engine draws no token from the logits."""
        return self.scores or self.group in ("bias", "penalty")

    @property
    def movable(self) -> bool:
        """Whether a preset's `order` may place this stage."""
        return self.group in ("shape", "cut")
