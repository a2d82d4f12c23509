"""Our passes over the logits beside the same passes by `torch.compile`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scripts.lib.benchmark.costs import Step, logits_of, measure
from torch import Tensor
from tqdm import tqdm


@dataclass(frozen=True, slots=True)
class Compiled:
    """One of our passes beside the same in one kernel by `torch.compile`."""

    work: str
    milliseconds: float
    compiled: float
    # seconds of the first call
    first_call: float
    # whether both give the same bits, and whether a row alone gives those that it has in a batch
    same_bits: bool
    alone: bool


def run_compile(quick: bool) -> list[Compiled]:
    """The passes over all logits that a fused kernel could replace."""
    from temperament.compiled.constants import PIECE
    from temperament.ops.cut import keep_at_least
    from temperament.ops.sums import mass, sums_below, weighted_distance

    rows, pieces = (4, 2) if quick else (64, 37)
    logits = logits_of("normal", rows, pieces * PIECE)
    maximum = logits.amax(-1, keepdim=True)
    bound = logits.topk(min(3000, PIECE)).values[:, -1:].contiguous()

    def keep(logits: Tensor) -> Tensor:
        return logits.copy_(torch.where(logits < bound[: len(logits)], -torch.inf, logits))

    def masses(logits: Tensor) -> tuple[Tensor, Tensor]:
        cut = logits.view(len(logits), -1, PIECE)
        distance = (cut - maximum[: len(logits), :, None]).clamp(min=-87.0)
        return distance, distance.exp()

    def total(logits: Tensor) -> Tensor:
        return masses(logits)[1].sum(-1).sum(-1, dtype=torch.float64)

    def both(logits: Tensor) -> Tensor:
        distance, mass = masses(logits)
        parts = torch.stack([mass.sum(-1), (mass * distance).sum(-1)])
        return parts.sum(-1, dtype=torch.float64)

    works: dict[str, tuple[Step, Step]] = {
        "dropping what is below a threshold": (lambda x: keep_at_least(x, bound[: len(x)]), keep),
        "the sum of all masses": (lambda x: sums_below(x, maximum[: len(x)], mass)[0][:, 0], total),
        "the same and the mean distance": (
            lambda x: torch.stack(sums_below(x, maximum[: len(x)], mass, weighted_distance))[
                :, :, 0
            ],
            both,
        ),
    }
    found = []
    for work, (eager, plain) in tqdm(works.items(), disable=None):
        compiled = torch.compile(plain, dynamic=True)
        begin = time.perf_counter()
        result = compiled(logits.clone())
        first = time.perf_counter() - begin
        least = (0.01, 3) if quick else (1.0, 7)
        ours, theirs = (measure(step, logits, *least)[0] for step in (eager, compiled))
        same = torch.equal(eager(logits.clone()), result)
        single = compiled(logits[:1].clone())
        alone = torch.equal(single, result[:1] if single.shape[0] == 1 else result[:, :1])
        found.append(Compiled(work, ours, theirs, first, same, alone))
    return found


def compile_table(found: Sequence[Compiled]) -> str:
    """Markdown: a line for each pass."""
    head = ["a pass over all logits", "ours, ms", "compiled, ms", "first call, s"]
    lines = [[*head, "the same bits", "a row alone as in a batch"]]
    lines.append(["---"] * len(lines[0]))
    for one in found:
        times = [f"{one.milliseconds:.2f}", f"{one.compiled:.2f}", f"{one.first_call:.1f}"]
        lines.append(
            [one.work, *times, *("yes" if b else "no" for b in (one.same_bits, one.alone))]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
