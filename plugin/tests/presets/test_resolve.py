"""Layers become one preset: merged from the top, completed, bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from temperament import Catalogue, Preset, PresetError
from temperament.presets.parsing import parse_preset
from temperament.presets.resolve import merge, named, parse, resolve

SHIPPED = Catalogue.load(environment=False)
QWEN = SHIPPED.for_model("Qwen/Qwen3-8B")
DEEPSEEK = SHIPPED.for_model("deepseek-v3")
NOTHING = Catalogue({})


class TestResolve:
    """`resolve`."""

    def test_precedence(self) -> None:
        """The request's fields win over the preset, the default and the model's values."""
        preset = resolve(
            Preset("n", {"top_p": 0.6, "min_p": 0.1}),
            NOTHING,
            fields={"min_p": 0.05},
            default=Preset("d", {"top_k": 8, "top_p": 0.5, "min_p": 0.2}),
            model_values=Preset("m", {"temperature": 0.6, "top_k": 9, "top_p": 0.4, "min_p": 0.3}),
        )

        assert {"temperature": 0.6, "top_k": 8, "top_p": 0.6, "min_p": 0.05} == preset.values

    def test_no_layer(self) -> None:
        """Without a layer nothing is set."""
        assert Preset("request") == resolve(None, NOTHING)

    def test_one_layer_stays_as_it_is(self) -> None:
        """A preset alone isn't copied: its name, notes and origin stay."""
        assert SHIPPED["chat"] is resolve("chat", SHIPPED)
        assert SHIPPED["chat"] is resolve("chat", SHIPPED, fields={})

    def test_a_factor_is_of_the_models_value(self) -> None:
        """A factor in the request's fields replaces the preset's number."""
        preset = resolve("chat", QWEN, fields={"temperature": {"scale": 1.2}})

        assert {**QWEN["chat"].values, "temperature": 0.72} == preset.values
        assert "1.2 times the 0.6" in preset.notes[-1]

    def test_a_factor_keeps_the_presets_cuts(self) -> None:
        """The vendor's truncation is added only where no layer names a cut."""
        fields = {"temperature": {"scale": 3}}
        low = Preset("d", {"min_p": 0.2})

        assert {"temperature": 1.8, "min_p": 0.1} == resolve(
            {"min_p": 0.1}, QWEN, fields=fields
        ).values
        assert {"temperature": 1.8, "min_p": 0.2} == resolve(
            None, QWEN, fields=fields, default=low
        ).values
        assert {"temperature": 1.8, "top_k": 20, "top_p": 0.95} == resolve(
            None, QWEN, fields=fields
        ).values

    @pytest.mark.parametrize(
        ("preset", "fields"),
        [("chat", {"temperature": {"scale": 1.2}}), ("recommended", {}), ("warmer", {"top_k": 3})],
    )
    def test_without_a_model(self, preset: str, fields: dict[str, Any]) -> None:
        """What only a model tells is refused, in whichever layer it stands."""
        with pytest.raises(PresetError, match="the model must be known"):
            resolve(preset, SHIPPED, fields=fields)

    def test_a_preset_that_cannot_be_bound_stays_refused(self) -> None:
        """A temperature beyond its scale is refused, also with fields or other layers around it."""
        hot = parse_only(temperature=2.5, temperature_scale="deepseek-api")
        catalogue = Catalogue({"hot": hot}).for_model("deepseek-v3")
        for layers in (
            {},
            {"fields": {"top_p": 0.5}},
            {"default": Preset("d", {"top_p": 0.5})},
            {"model_values": Preset("m", {"top_p": 0.5})},
        ):
            with pytest.raises(PresetError, match="deepseek-api ends at 2"):
                resolve("hot", catalogue, **layers)
        with pytest.raises(PresetError, match="deepseek-api ends at 2"):
            resolve(None, catalogue, fields={"top_p": 0.5}, default=catalogue["hot"])

    def test_a_field_may_replace_what_cannot_be_bound(self) -> None:
        """A number of the request's is on no scale."""
        hot = parse_only(temperature=2.5, temperature_scale="deepseek-api")
        catalogue = Catalogue({"hot": hot}).for_model("deepseek-v3")

        assert 0.7 == resolve("hot", catalogue, fields={"temperature": 0.7}).values["temperature"]

    def test_a_section_stays_below_the_fields(self) -> None:
        """A `Preset` is bound before the request's fields are laid over it."""
        preset = parse_only(temperature=0.9, models={"qwen3*": {"temperature": 0.4}})

        assert 0.4 == resolve(preset, QWEN).values["temperature"]
        assert 0.5 == resolve(preset, QWEN, fields={"temperature": 0.5}).values["temperature"]

    def test_an_unknown_preset_beside_a_wrong_field(self) -> None:
        """The problems of the preset's name and of the request's fields are reported together."""
        with pytest.raises(PresetError) as caught:
            resolve("chatt", QWEN, fields={"top_p": 3, "min_p": -1})

        assert ["preset", "top_p", "min_p"] == [problem.path for problem in caught.value.problems]

    def test_modes_are_checked_in_the_end(self) -> None:
        """A rule of the request's may name a mode of the preset; else the problem is reported."""
        switch = [{"on": {"tokens": 9}, "to": "b"}]
        turn = {"modes": {"a": {}, "b": {"top_k": 5}}, "switch": [{**switch[0], "from": ["a"]}]}
        modes = Catalogue({"turn": parse_only(**turn)})

        assert () == resolve("turn", modes, fields={"switch": switch}).switch[0].sources
        with pytest.raises(PresetError, match=r"request: switch: needs modes"):
            resolve("chat", SHIPPED, fields={"switch": switch}, where="request")


class TestParse:
    """`parse`: a map of values as a preset."""

    def test_every_problem_at_once(self) -> None:
        """An unknown parent is reported beside wrong values."""
        with pytest.raises(PresetError) as caught:
            parse({"extends": "chatt", "top_k": "x", "temprature": 1}, SHIPPED)

        assert {"extends", "top_k", "temprature"} == {p.path for p in caught.value.problems}
        assert "did you mean 'chat'?" in str(caught.value)

    def test_the_source_is_named(self) -> None:
        """Each problem begins with the source that `where` names."""
        with pytest.raises(PresetError) as caught:
            parse({"extends": "chatt", "top_k": "x"}, SHIPPED, where="side 2")

        assert {"side 2"} == {problem.where for problem in caught.value.problems}

    @pytest.mark.parametrize("data", [[], 5, "chat", None])
    def test_what_is_no_map(self, data: object) -> None:
        """Nothing names no values; everything else that isn't a map is refused."""
        if data is None:
            assert {} == parse(data, SHIPPED).values
        else:
            with pytest.raises(PresetError, match="not a preset"):
                parse(data, SHIPPED)


class TestMerge:
    """`merge`."""

    def test_absent_layers(self) -> None:
        """None is no layer, and one layer is returned as it is."""
        only = Preset("only", {"top_k": 3})

        assert only is merge(None, only, None)

    def test_the_models_values_are_the_lowest_layer(self) -> None:
        """The model's values count where no layer sets another, and not below one that is alone."""
        model = Preset("model", {"top_k": 20, "top_p": 0.9})
        top = Preset("top", {"top_k": 3})

        assert {"top_k": 3, "top_p": 0.9} == merge(top, model_values=model).values
        assert {"top_k": 3} == merge(replace(top, alone=True), model_values=model).values

    def test_what_stays_unbound(self) -> None:
        """A merged preset still says why it can't be bound."""
        unbound = named(SHIPPED["warmer"], SHIPPED)

        assert "the model must be known" in merge(Preset("top", {"top_k": 3}), unbound).unbound


def parse_only(**values: Any) -> Preset:
    """A preset of these values that isn't bound to a model."""
    return parse_preset("inline", values)[0]
