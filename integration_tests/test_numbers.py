"""The averages that samplers promise and the noise's quality, in short; docs/reports/numbers.md."""

from scripts.lib.numbers.__main__ import wrong
from scripts.lib.numbers.averages import averages
from scripts.lib.numbers.battery import battery


def test_averages() -> None:
    """Mirostat holds its surprise, XTC its rate and adaptive-p its probability."""
    found = averages(5000)

    assert [] == wrong(found)
    assert 7 == len(found)


def test_noise() -> None:
    """Noise of neighbouring seeds and positions passes every test of chance."""
    found = battery(20_000)

    assert [] == wrong(found)
    assert 28 == len(found)
