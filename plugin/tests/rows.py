"""Random rows for any stage of `STAGES`: logits, histories, and values drawn from each range.

A new stage is covered without a change here; a new `kind` of parameter needs a line in `value`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Chain, Preset
from temperament.stages import FLOAT32_MAX, Parameter, Stage
from temperament.stages.kinds import (
    FLAG,
    INTEGER,
    SEQUENCE_BIAS,
    SEQUENCES,
    TEXTS,
    TOKEN_BIAS,
    TOKENS,
)
from tests.plain import RowContext

NOTHING = Catalogue({})  # no preset is named here, so none need be read


def value(parameter: Parameter, random: Random, vocabulary: int) -> Any:
    """A value from the parameter's range, its ends among them."""
    if parameter.kind is FLAG:
        return random.random() < 0.5
    if parameter.kind is TEXTS:
        return random.choice([("a", "b\n"), ("abba", "\n\n"), ("ab",)])
    some = random.sample(range(vocabulary), random.randint(1, min(20, vocabulary)))
    if parameter.kind is TOKENS:
        return tuple(sorted(some))
    if parameter.kind is TOKEN_BIAS:
        return tuple((token, random.uniform(-10, 10)) for token in sorted(some))
    if parameter.kind is SEQUENCES:
        return tuple((token, *some[: token % 3]) for token in some)
    if parameter.kind is SEQUENCE_BIAS:
        return tuple(((token, *some[: token % 3]), random.uniform(-10, 10)) for token in some)
    low, high = parameter.low, parameter.high
    ends = [low] * (not parameter.low_open and low > -FLOAT32_MAX)
    ends += [high] * (not parameter.high_open and high < FLOAT32_MAX)
    if ends and random.random() < 0.15:
        return random.choice(ends)
    if parameter.kind is INTEGER:
        return int(min(high, low + 2 ** random.uniform(0, 14)))
    if high == FLOAT32_MAX and random.random() < 0.1:
        return 10 ** random.uniform(-37, 38)
    if high < FLOAT32_MAX:
        drawn = random.uniform(low, high)
        return drawn if low < drawn < high else (low + high) / 2
    return max(low, 0.0) + 10 ** random.uniform(-2, 2)


def values(stage: Stage, random: Random, vocabulary: int) -> dict[str, Any]:
    """Values for all parameters of a stage, with which it does something."""
    while True:
        drawn = {p.name: value(p, random, vocabulary) for p in stage.parameters}
        if not stage.is_neutral(drawn):
            return drawn


@cache
def token_bytes(vocabulary: int) -> TokenBytes:
    """Tokens of no to four bytes over a small alphabet, the last of which ends a text."""
    random = Random(vocabulary)
    spelled = [
        bytes(random.choices(b"ab\n", k=random.randint(1, 4))) for _ in range(vocabulary - 1)
    ]
    return TokenBytes((*spelled, b""), (vocabulary - 1,))


def neutral(stage: Stage, random: Random, vocabulary: int) -> dict[str, Any]:
    """Values with which a stage does nothing, whatever its other parameters say."""
    drawn = values(stage, random, vocabulary)
    if stage.neutral_when is not None:
        return {p.name: p.unset for p in stage.parameters}
    off = random.choice([p for p in stage.parameters if p.neutral is not None])
    return {**drawn, off.name: off.neutral}


def logits(count: int, vocabulary: int, random: Random) -> Tensor:
    """[count, vocabulary] float32: steep and flat rows, ties, -0.0, removed tokens."""
    generator = torch.Generator().manual_seed(random.getrandbits(32))
    x = torch.randn(count, vocabulary, generator=generator)
    for row in range(count):
        x[row] *= random.choice([0.05, 1.0, 3.0, 8.0, 50.0])
        if random.random() < 0.3:
            x[row] = (x[row] * 2).round() / 2
        if random.random() < 0.3:
            x[row, torch.rand(vocabulary, generator=generator) < random.random()] = -math.inf
        if random.random() < 0.1:
            x[row] = -math.inf
        x[row, random.randrange(vocabulary)] = random.choice([-0.0, 1.0, 12.0])
    return x


def ids(count: int, vocabulary: int, longest: int, random: Random) -> list[list[int]]:
    """Token ids of different lengths, none among them, with repetitions."""
    lengths = [random.choice([0, 1, 2, longest // 7, longest]) for _ in range(count)]
    few = random.sample(range(vocabulary), min(vocabulary, longest // 3 + 1))
    return [random.choices(few, k=length) for length in lengths]


def preset(values: dict[str, Any], order: Sequence[str] = ()) -> Preset:
    """Values as a preset, unchecked: the ops must stand more than a preset may say."""
    return Preset("test", values, tuple(order))


def context(vocabulary: int, output: Sequence[int], random: Random) -> RowContext:
    """A seed, ends, tokens, and a limit that is often reached now."""
    known = token_bytes(vocabulary)
    limit = random.choice([-1, len(output) + 1, len(output) + 2])
    return RowContext(random.getrandbits(63), limit, known.ends, known.tokens)


def run(
    x: Tensor | Sequence[float],
    chain: Chain,
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    context: RowContext = RowContext(),  # noqa: B008 - a tuple, which nothing can change
) -> list[float]:
    """One row, through everything that a row in a batch goes through."""
    known = TokenBytes(tuple(context.tokens), tuple(context.ends))
    batch = Rows(1, vocabulary=lambda: known)
    request = Request(chain, context.seed, context.limit, tuple(context.ends))
    batch.write(0, request, prompt, output)
    done = batch.run(torch.tensor(x, dtype=torch.float32)[None], np.zeros(1, np.int64))
    return [float(number) for number in done[0]]


def apply(
    x: Sequence[float],
    values: dict[str, Any],
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    context: RowContext = RowContext(),  # noqa: B008
    *,
    order: Sequence[str] = (),
) -> list[float]:
    """One row with these values."""
    return run(x, preset(values, order).chain, prompt, output, context)


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two float32 tensors are equal bit for bit: -0.0 is not 0.0, NaN is NaN."""
    return torch.equal(one.contiguous().view(torch.int32), other.contiguous().view(torch.int32))


def tensor(x: Sequence[Sequence[float]]) -> Tensor:
    """[rows, vocabulary] float32."""
    return torch.tensor(x, dtype=torch.float32)
