"""The metrics that an engine writes, as the API server's registry reads them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from temperament.engines.vllm import meter
from temperament.engines.vllm.meter import MULTIPROCESS, Meter, folder_of


def read(folder: Path) -> dict[str, float]:
    """The samples of a folder, as `/metrics` would show them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_counts_stand_in_the_registry(tmp_path: Path) -> None:
    """Steps, switches and fallbacks by stage stand in the registry."""
    counts = Meter(tmp_path)
    counts.step(0.0002, 3)
    counts.step(0.05, 4)
    counts.fallback("xtc")
    counts.fallback("xtc")
    counts.fallback("dry")
    read_ = read(tmp_path)

    assert 0 == read_['temperament_step_seconds_bucket{le="0.0001"}']
    assert 1 == read_['temperament_step_seconds_bucket{le="0.0003"}']
    assert 2 == read_['temperament_step_seconds_bucket{le="+Inf"}']
    assert 2 == read_["temperament_step_seconds_count"]
    assert pytest.approx(0.0502) == read_["temperament_step_seconds_sum"]
    assert 4 == read_["temperament_mode_switches_total"]
    assert 2 == read_['temperament_fallbacks_total{stage="xtc"}']
    assert 1 == read_['temperament_fallbacks_total{stage="dry"}']


def test_what_was_counted_before_there_was_a_folder_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts from before the API server creates the folder are written once it exists."""
    monkeypatch.setattr(meter, "_RETRY", 0.0)
    folder = tmp_path / "later"
    counts = Meter(folder)
    counts.step(2.0, 7)
    counts.fallback("batch")

    assert not folder.exists()
    folder.mkdir()
    counts.step(0.5, 7)

    assert 2 == read(folder)["temperament_step_seconds_count"]
    assert 2.5 == read(folder)["temperament_step_seconds_sum"]
    assert 7 == read(folder)["temperament_mode_switches_total"]
    assert 1 == read(folder)['temperament_fallbacks_total{stage="batch"}']


def test_a_folder_that_takes_no_file_is_left_alone(tmp_path: Path) -> None:
    """A file that can't be written raises nothing; the counts go on."""
    (tmp_path / f"histogram_temperament{os.getpid()}.db").mkdir()
    counts = Meter(tmp_path)
    counts.step(0.1, 0)
    counts.fallback("dry")

    assert {"dry": 1} == counts.fallbacks


def test_processes_of_one_server_share_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data-parallel engines share a folder; with several API servers it is vLLM's."""
    monkeypatch.delenv(MULTIPROCESS, raising=False)
    first, second = (config(name) for name in ("123", "123_dp1"))

    assert folder_of(first) == folder_of(second) != folder_of(config("124"))
    monkeypatch.setenv(MULTIPROCESS, "/somewhere")

    assert folder_of(first) == Path("/somewhere")


def config(instance: str) -> Any:
    """A configuration with the id that names the folder."""
    return SimpleNamespace(instance_id=instance)
