"""A third engine is one description and one adapter; everything else follows from these two."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from temperament import EngineError
from temperament.cli.command_line import main
from temperament.plan import TARGETS, split_preset
from temperament.plan.documented import refuse
from temperament.plan.targets.target import Limit, Route, Target, native, refused
from temperament.presets import Catalogue, Preset, Presets, as_preset, as_presets
from temperament.presets.generation_fields import GENERATION
from temperament.presets.resolve import resolve

NOTHING = Catalogue({})
_NONE: Route = refused("toy has nothing like it", "toy 没有类似功能")

# What would be plan/targets/toy.py.
TOY = Target(
    name="toy",
    order=("temperature", "top_k"),
    before=("temperature",),
    fields={"temperature": 1.0, "top_k": 0},
    has=frozenset({"temperature", "top_k"}),
    limits={"temperature": (Limit(lambda v: v["temperature"] > 5, "toy ends at 5"),)},
    generation={
        **dict.fromkeys(GENERATION, _NONE),
        "max_tokens": native("length"),
        "stop": native("until", trim=True),
        "seed": native("seed"),
    },
)


# What would be engines/toy.py.
def toy_request(preset: Preset, catalogue: Catalogue = NOTHING, **fields: Any) -> dict[str, Any]:
    """The toy's request: its own fields, and the stages that the processor runs."""
    resolved = resolve(preset, catalogue, fields=fields)
    refuse([resolved.generation], TOY, "toy")
    plan = split_preset(resolved, TOY)
    return {
        **plan.native,
        **TOY.generation_fields(resolved.generation),
        "residual": plan.residual.chains,
    }


def toy_processor(presets: Presets, logits: torch.Tensor) -> torch.Tensor:
    """One step of the toy's decoding loop."""
    from temperament import process

    return process(logits, as_presets(presets, NOTHING)[0])


class TestToy:
    """The toy engine."""

    def test_native_fields_and_residual_stages(self) -> None:
        """The toy does what it can in its order, and the processor does the rest."""
        preset = as_preset({"temperature": 0.7, "top_k": 5, "max_tokens": 9, "stop": "x"}, NOTHING)
        native_only = toy_request(preset)
        both = toy_request(preset, min_p=0.1)

        assert {"temperature": 0.7, "top_k": 5, "length": 9, "until": ["x"], "trim": True} == {
            name: value for name, value in native_only.items() if name != "residual"
        }
        assert not any(native_only["residual"].values())
        assert (0.7, 0) == (both["temperature"], both["top_k"])
        assert ("top_k", "min_p") == both["residual"][""].names

    def test_its_limit(self) -> None:
        """A value that the toy can't take is residual."""
        request = toy_request(as_preset({"temperature": 6}, NOTHING))

        assert 1.0 == request["temperature"]
        assert ("temperature",) == request["residual"][""].names

    def test_what_it_refuses(self) -> None:
        """Every generation field that the toy hasn't is reported."""
        with pytest.raises(EngineError) as caught:
            toy_request(as_preset({"num_beams": 4, "guidance_scale": 2.0}, NOTHING))

        assert ["num_beams", "guidance_scale"] == [p.path for p in caught.value.problems]
        assert "toy has nothing like it" in str(caught.value)

    def test_its_rows(self) -> None:
        """The batch runs presets for it as for every engine."""
        after = toy_processor([{"top_k": 1}, {}], torch.tensor([[1.0, 2.0], [1.0, 2.0]]))

        assert [[float("-inf"), 2.0], [1.0, 2.0]] == after.tolist()

    def test_explain_knows_it(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With one line in `TARGETS` the command line explains plans for the engine."""
        monkeypatch.setitem(TARGETS, "toy", TOY)
        assert 0 == main(["explain", "chat", "--engine", "toy", "--json"])

        assert {"temperature": 0.6, "top_k": 0} == json.loads(capsys.readouterr().out)["fields"]
