"""The metrics of an engine's process, which `/metrics` of the API server reads from files.

The files have the format of Prometheus's multi-process mode. Several API servers use that mode, and
we write to their folder. A single API server creates a folder named after the engine (`folder_of`)
and reads that. Without a folder nothing is written.
"""

from __future__ import annotations

import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm.config import VllmConfig

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # seconds

_RETRY = 1.0  # seconds before the folder is looked for again
_STEP = "temperament_step_seconds"
_STEP_HELP = "Time of the presets' part of a decoding step, on the host"
_SWITCHES = "temperament_mode_switches"
_SWITCHES_HELP = "Switches from one mode of a preset to another"
_FALLBACKS = "temperament_fallbacks"
_FALLBACKS_HELP = "Requests whose preset was given up after an internal error, by stage"


def folder_of(vllm_config: VllmConfig) -> Path:
    """Returns the folder to which the processes of one server write their metrics."""
    shared = os.environ.get(MULTIPROCESS)
    if shared:
        return Path(shared)
    # Data-parallel engines add a suffix for their rank.
    name = str(vllm_config.instance_id).partition("_dp")[0]
    return Path(tempfile.gettempdir(), f"temperament-{name}")


class Meter:
    """The metrics of one engine process; without a `folder` they are counted but not written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.fallbacks: dict[str, int] = {}  # by stage
        self.switches = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._folder = folder
        self._files: Mapping[str, Any] | None = None
        self._looked = -_RETRY

    def step(self, seconds: float, switches: int) -> None:
        """Records a step of the batch, and the number of mode switches since the start."""
        bucket = bisect_left(BUCKETS, seconds)
        self._buckets[bucket] += 1
        self._seconds += seconds
        files = self._open()
        if files is None:
            self.switches = switches
            return
        self._write_step(files["histogram"], bucket)
        if switches != self.switches:
            self.switches = switches
            files["counter"].write_value(_key(_SWITCHES, "_total", _SWITCHES_HELP), switches, 0.0)

    def fallback(self, stage: str) -> None:
        """Records a request that goes on without its preset, and the stage that raised."""
        self.fallbacks[stage] = self.fallbacks.get(stage, 0) + 1
        files = self._open()
        if files is not None:
            self._write_fallback(files["counter"], stage)

    def _write_step(self, file: Any, bucket: int) -> None:
        bound = [*map(str, BUCKETS), "+Inf"][bucket]
        key = _key(_STEP, "_bucket", _STEP_HELP, le=bound)
        file.write_value(key, self._buckets[bucket], 0.0)
        file.write_value(_key(_STEP, "_sum", _STEP_HELP), self._seconds, 0.0)

    def _write_fallback(self, file: Any, stage: str) -> None:
        key = _key(_FALLBACKS, "_total", _FALLBACKS_HELP, stage=stage)
        file.write_value(key, self.fallbacks[stage], 0.0)

    def _open(self) -> Mapping[str, Any] | None:
        """Returns the files once their folder exists; new ones begin with the counts so far."""
        now = time.monotonic()
        if self._files is not None or self._folder is None or now - self._looked < _RETRY:
            return self._files
        self._looked = now
        if not self._folder.is_dir():
            return None
        try:
            from prometheus_client.mmap_dict import MmapedDict

            untyped: Any = MmapedDict
            self._files = {
                kind: untyped(str(self._folder / f"{kind}_temperament{os.getpid()}.db"))
                for kind in ("histogram", "counter")
            }
            for bucket in range(len(self._buckets)):
                self._write_step(self._files["histogram"], bucket)
            counter = self._files["counter"]
            counter.write_value(_key(_SWITCHES, "_total", _SWITCHES_HELP), self.switches, 0.0)
            for stage in self.fallbacks:
                self._write_fallback(counter, stage)
        except (OSError, ImportError):  # no space left; or no prometheus_client, so no reader
            self._folder, self._files = None, None
        return self._files


def _key(metric: str, suffix: str, text: str, **labels: str) -> str:
    from prometheus_client.mmap_dict import mmap_key

    return str(mmap_key(metric, metric + suffix, list(labels), list(labels.values()), text))
