"""Finds the definition of every stage: `reference` in `tests/stages/test_STAGE.py`.

A definition is plain Python on one row: logits in, logits out, as lists of floats; -inf is a token
that was removed. Its keywords are the stage's parameters and what the stage needs beside them: the
row's `prompt` and `output`, its `seed` and the `position` that is drawn, the `ends` of its text and
its `limit` of tokens, and the bytes of all `tokens`. It is written for reading, not for speed, and
from the definition of the sampler, not from the op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from temperament.presets import Chain
from temperament.stages import BY_NAME
from temperament.stages.kinds import TEXTS
from tests.plain import Row, RowContext

STAGES = Path(__file__).with_name("stages")
PREFIX = "test_"


def module(stage: str) -> ModuleType:
    """Returns the test module of a stage; raises `ImportError` where there is none."""
    return import_module(f"tests.stages.{PREFIX}{stage}")


def of(stage: str) -> Callable[..., Row]:
    """Returns the definition of a stage."""
    definition: Callable[..., Row] = module(stage).reference
    return definition


def stage_of(definition: Callable[..., Row]) -> str:
    """Returns the name of the stage that a definition is for."""
    return definition.__module__.rpartition(".")[2].removeprefix(PREFIX)


def chain(
    x: Row,
    chain: Chain,
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    context: RowContext = RowContext(),  # noqa: B008 - a tuple, which nothing can change
) -> Row:
    """Runs the steps of a chain, one after another."""
    for step in chain.steps:
        stage, arguments = BY_NAME[step.stage], dict(step.values)
        if "history" in stage.needs:
            arguments |= {"prompt": prompt, "output": output}
        if "noise" in stage.needs:
            arguments |= {"seed": context.seed, "position": len(output)}
        if "ends" in stage.needs:
            arguments |= {"ends": context.ends, "limit": context.limit}
        if "vocabulary" in stage.needs or any(p.kind is TEXTS for p in stage.parameters):
            arguments["tokens"] = context.tokens
        x = of(step.stage)(x, **arguments)
    return x
