"""Which variants of the kernels Triton would compile, as JSON: at the start, and in steps.

    python -m tests.kernels.variants VOCABULARY

Triton compiles a kernel anew for tensors of other types or alignment and for some numbers, which
takes seconds. It is a process of its own, since Triton's interpreter can't be left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from temperament.engines.vllm import v2
from temperament.errors import PresetError
from temperament.presets import as_preset
from temperament.stages import STAGES, Stage
from tests import rows
from tests.engines import runners
from tests.engines.drafting import ENTROPY
from tests.engines.runners import DRAFTS, MODES, SLOTS, Row, V2Runner
from tests.kernels import draft_counts
from tests.kernels.no_gpu import noting


def presets(vocabulary: int) -> Iterator[dict[str, Any]]:
    """Presets that reach everything which the kernels read."""
    for stage in STAGES:
        yield valid(stage, vocabulary)
    yield {"temperature": {"from": 2, "to": 0.5, "over": 30}, "mirostat": 1}
    yield draft_counts.MODES
    yield MODES
    yield ENTROPY


def valid(stage: Stage, vocabulary: int) -> dict[str, Any]:
    """Values of a stage that a preset may have."""
    random = Random(stage.name)
    while True:
        values = rows.values(stage, random, vocabulary)
        if "logit_bias" in values:
            values["logit_bias"] = dict(values["logit_bias"])
        with suppress(PresetError):
            as_preset(values, rows.NOTHING)
            return values


def logits_of(count: int, vocabulary: int) -> Iterator[Tensor]:
    """Logits as runners have them: by themselves, and without the padding of a row."""
    yield torch.randn(count, vocabulary)
    yield torch.randn(count, vocabulary + 64 - vocabulary % 64)[:, :vocabulary]


def steps(runner: V2Runner, values: dict[str, Any], drafts: list[int], vocabulary: int) -> None:
    """Runs steps of one request, of some, and of as many as there are slots."""
    for count in (1, 3, SLOTS):
        requests = [Row(slot, values, [1, 2], [3, 1], drafts) for slot in range(count)]
        for request in requests:
            runner.add(request)
        for logits in logits_of(count * (1 + len(drafts)), vocabulary):
            runner.step(requests, logits)


def main(vocabulary: int) -> None:
    """Prints the variants of the start and of the steps."""
    started: set[tuple[str, str]] = set()
    stepped: set[tuple[str, str]] = set()
    known = patch.object(v2, "token_bytes", lambda _: rows.token_bytes(vocabulary))
    with known, patch.object(runners, "VOCABULARY", vocabulary):
        for drafts in (0, DRAFTS):
            with noting("sm_90", started):
                runner = V2Runner(drafts)
            with noting("sm_90", stepped):
                for values in presets(vocabulary):
                    for part in {0, drafts}:
                        steps(runner, values, [1] * part, vocabulary)
                assert not runner.meter.fallbacks, runner.meter.fallbacks
    print(json.dumps({"start": sorted(started), "steps": sorted(stepped)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
