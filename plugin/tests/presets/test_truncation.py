"""Temperatures above every vendor's for local weights, without a cut."""

from __future__ import annotations

from typing import Any

import pytest

from temperament.presets.truncation import warnings
from tests.presets.presets_for_models import SHIPPED, preset_for


class TestTruncation:
    """A temperature above every vendor's, without a cut."""

    def test_the_models_stays(self) -> None:
        """A model that has top_k and top_p recommended keeps them at 1.5."""
        hot = {"temperature": 1.5, "top_k": 20, "top_p": 0.95}
        as_it_stands = {"extends": "creative", "temperature_scale": "weights"}

        assert hot == preset_for("Qwen/Qwen3-8B", temperature=1.5).values
        assert hot == preset_for("Qwen/Qwen3-8B", **as_it_stands).values

    def test_the_drawn_temperature_counts(self) -> None:
        """`creative` is drawn at 0.8, so that no cut is added."""
        assert {"temperature": 1.5} == SHIPPED.for_model("Qwen/Qwen3-8B")["creative"].values

    @pytest.mark.parametrize(
        ("model", "values"),
        [
            ("qwen3-8b", {"temperature": 1.0}),
            ("qwen3-8b", {"temperature": 1.5, "top_p": 1.0}),
            ("qwen3-8b", {"temperature": 1.5, "min_p": 0.1}),
            ("kimi-k2", {"temperature": 1.5}),
            ("smollm2-135m", {"temperature": 1.5}),
            ("someone/something", {"temperature": 1.5}),
        ],
        ids=str,
    )
    def test_unless(self, model: str, values: dict[str, Any]) -> None:
        """No cut is added to a usual temperature, beside a cut, or where none is verified."""
        assert values == preset_for(model, **values).values

    def test_the_warning(self) -> None:
        """`check --model` warns where no cut applies."""
        (warning,) = warnings(preset_for("kimi-k2", temperature=1.5))

        assert "outside every vendor's range for local weights (at most 1)" in warning
        assert [] == warnings(preset_for("qwen3-8b", temperature=1.5))
        assert [] == warnings(preset_for("x", temperature=1.5, min_p=0.05))
