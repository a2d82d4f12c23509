"""Many chains to one list of steps: the union of their stages, each row in its own order."""

from __future__ import annotations

from collections.abc import Sequence

from temperament.stages import RANK

Shape = tuple[str, ...]  # the stages' names of a chain, in order


def merge(shapes: Sequence[Shape]) -> list[tuple[str, tuple[int, ...]]]:
    """Steps `(stage, which of the shapes take part)` that run every shape in its own order.

    Chains in the default order share each stage's step, so the cost is that of the union of the
    stages. Among the stages that come next in some shape, the first by default order is taken; a
    stage that a shape wants at two places takes two steps.
    """
    done = [0] * len(shapes)
    steps: list[tuple[str, tuple[int, ...]]] = []
    while True:
        waiting = {
            shape[done[index]] for index, shape in enumerate(shapes) if done[index] < len(shape)
        }
        if not waiting:
            return steps
        stage = min(waiting, key=RANK.__getitem__)
        takes_part = tuple(
            index
            for index, shape in enumerate(shapes)
            if done[index] < len(shape) and shape[done[index]] == stage
        )
        steps.append((stage, takes_part))
        for index in takes_part:
            done[index] += 1
