"""A short form of `scripts/soak.py`; the long one's numbers are in docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

from scripts import soak

from integration_tests.harness import captured


def test_soak() -> None:
    """Random presets at once on a real server: nothing breaks, nothing touches anything else."""
    said = soak.parse(
        [
            "--requests",
            "160",
            "--presets",
            "80",
            "--repeats",
            "12",
            "--captured",
            "0",
            "--seed",
            "2",
        ]
    )
    report = soak.run(said)

    assert report.wrong == []
    assert report.requests == 160
    assert report.statuses["200"] >= 120
    assert set(report.statuses) <= {"200", "400", "client went away"}
    assert report.prefix_hits > 0
    assert {"grammar", "several samples", "streaming", "shared prefix"} <= report.kinds.keys()
    assert sum(report.repeated.values()) > 0


def test_rows_on_v1(tiny_path: Path) -> None:
    """What an engine gave for a row is what the row gives alone, bit for bit."""
    report = captured.run("v1", tiny_path, 90, 2)

    assert report.differing == []
    assert report.preemptions > 0
    assert report.rows > 800
    assert report.changed > report.rows // 2


def test_rows_on_v2(tiny_path: Path) -> None:
    """The same on the other runner."""
    report = captured.run("v2", tiny_path, 30, 2)

    assert report.differing == []
    assert report.rows > 200
