"""The class that vLLM loads: a logits processor for both of its model runners.

Both runners read the entry-point group `vllm.logits_processors`, and each refuses a class that
doesn't derive from the runner's interface. So this class derives from both. The number of arguments
of its constructor shows which runner creates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from vllm.v1.sample.logits_processor.interface import LogitsProcessor as V1LogitsProcessor
from vllm.v1.worker.gpu.sample.logits_processor.interface import (
    LogitsProcessor as V2LogitsProcessor,
)

from temperament.engines.vllm import front_end
from temperament.engines.vllm.meter import Meter, folder_of
from temperament.engines.vllm.requests import validate
from temperament.engines.vllm.sharding import shards_batches
from temperament.engines.vllm.v1 import V1Batch
from temperament.engines.vllm.v2 import V2Batch
from temperament.errors import EngineError, Problem

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext


class TemperamentLogitsProcessor(V1LogitsProcessor, V2LogitsProcessor):
    """Runs the residual stages of the requests' presets, on either runner."""

    def __init__(self, vllm_config: VllmConfig, *arguments: Any) -> None:
        self._v1: V1Batch | None = None
        self._v2: V2Batch | None = None
        front_end.check(vllm_config)
        if len(arguments) == 1:
            self._v2 = V2Batch(vllm_config, arguments[0], meter_of(vllm_config))
            return
        device, _pin_memory = arguments
        by_option = vllm_config.model_config.logits_processors  # --logits-processors
        if vllm_config.scheduler_config.async_scheduling and not by_option:
            raise EngineError(
                Problem(
                    "vLLM's V1 runner",
                    "async_scheduling",
                    "keeps placeholders where a stage needs the request's tokens",
                    "on",
                    "--no-async-scheduling, or the V2 runner (VLLM_USE_V2_MODEL_RUNNER=1)",
                )
            )
        self._v1 = V1Batch(vllm_config, device, meter_of(vllm_config))

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raises a `ValueError`, which vLLM answers with HTTP 400, before the engine is reached."""
        front_end.check_request()
        validate(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """True makes V1 call us after its penalties and temperature, as V2 does.

        It doesn't mean that we keep the largest logit. V1 asks in order to skip us in a batch of
        greedy requests, and it may: a request with a residual chain is never greedy for the engine,
        where its temperature is 1.
        """
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """V1: follows the changes of the batch."""
        if batch_update is not None and self._v1 is not None:
            self._v1.update(batch_update)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """V2: a request takes a slot; returns whether we change its logits."""
        return self._v2 is not None and self._v2.add(req_idx, sampling_params)

    def apply_staged_writes(self) -> None:
        """V2: called once before each forward pass."""
        if self._v2 is not None:
            self._v2.flush()

    def apply(self, logits: Tensor, ctx: LogitsContext | None = None) -> Tensor:
        """Both: returns [rows, vocab] float32 logits, changed in place."""
        if self._v1 is not None:
            return self._v1.apply(logits)
        assert self._v2 is not None and ctx is not None
        return self._v2.apply(logits, ctx)


def meter_of(vllm_config: VllmConfig) -> Meter:
    """Returns the metrics of this process.

    Only the first tensor-parallel rank writes its files, unless each rank draws the tokens of some
    requests only.
    """
    from vllm.distributed.parallel_state import get_tensor_model_parallel_rank

    writes = shards_batches(vllm_config) or get_tensor_model_parallel_rank() == 0
    return Meter(folder_of(vllm_config) if writes else None)
