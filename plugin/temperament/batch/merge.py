"""Merges chains into one list of steps, in which each chain keeps its order."""

from __future__ import annotations

from collections.abc import Sequence

from temperament.stages import RANK

Stages = tuple[str, ...]  # the stages of a chain by name, in order


def merge(chains: Sequence[Stages]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns steps `(stage, indices of the chains that take part)`.

    Each chain has a next stage. The next step is for the one that comes first in the default order.
    So chains in the default order share the step of each stage; a stage at different points of
    different chains takes several steps.
    """
    done = [0] * len(chains)
    steps: list[tuple[str, tuple[int, ...]]] = []
    while True:
        waiting = {
            chain[done[index]] for index, chain in enumerate(chains) if done[index] < len(chain)
        }
        if not waiting:
            return steps
        stage = min(waiting, key=RANK.__getitem__)
        takes_part = tuple(
            index
            for index, chain in enumerate(chains)
            if done[index] < len(chain) and chain[done[index]] == stage
        )
        steps.append((stage, takes_part))
        for index in takes_part:
            done[index] += 1
