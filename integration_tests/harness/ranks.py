"""The tokens of each rank: vLLM adds `Ranks` to its workers by `--worker-extension-cls`.

With `VLLM_SERVER_DEV_MODE=1`, `POST /collective_rpc {"method": "temperament_drawn"}` asks them all.
"""

from __future__ import annotations

from typing import Any


class Ranks:
    """Methods that vLLM adds to each worker."""

    rank: int
    model_runner: Any

    def temperament_watch(self) -> dict[str, int]:
        """Keeps from now on the largest token of each row after the processor."""
        import torch

        from temperament.engines.vllm.processor import TemperamentLogitsProcessor as Processor

        every = self.model_runner.input_batch.logitsprocs.all
        [processor] = [each for each in every if isinstance(each, Processor)]
        apply = processor.apply
        self.drawn: list[list[int]] = []

        def watched(logits: torch.Tensor, *rest: Any) -> torch.Tensor:
            after: torch.Tensor = apply(logits, *rest)
            self.drawn.append(after.argmax(dim=-1).tolist())
            return after

        # On purpose: the instance of this process alone is watched.
        processor.apply = watched  # type: ignore[method-assign, assignment]
        return {"rank": self.rank}

    def temperament_drawn(self) -> dict[str, Any]:
        """This rank, and the largest token of each row of each step since then."""
        return {"rank": self.rank, "drawn": self.drawn}
