"""Which preset a request names."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import Catalogue, RequestError
from temperament.server.restrictions import Restrictions
from temperament.server.selection import select
from tests.server.conftest import serves


def chosen(
    catalogue: Catalogue, body: dict[str, Any], header: str | None = None
) -> tuple[str | None, Any]:
    """Returns the selected preset's name and the model's."""
    selection = select(body, header, catalogue, serves, Restrictions())
    return selection.preset.name if selection.preset else None, selection.model


class TestSelect:
    """`select`."""

    @pytest.mark.parametrize(
        ("body", "header", "expected"),
        [
            ({}, None, (None, None)),
            ({"model": "m"}, None, (None, "m")),
            ({"model": "m", "preset": "chat"}, None, ("chat", "m")),
            ({"model": "m", "preset": "通用对话"}, None, ("chat", "m")),
            ({"model": "m", "preset": None}, None, (None, "m")),
            ({"model": "m"}, "creative", ("creative", "m")),
            ({"model": "m:chat"}, None, ("chat", "m")),
            ({"model": "m:对话"}, None, ("chat", "m")),
            ({"model": "m:8b"}, None, (None, "m:8b")),
            ({"model": "m:8b:chat"}, None, ("chat", "m:8b")),
            ({"model": "other:chat"}, None, (None, "other:chat")),
            ({"model": ":chat"}, None, (None, ":chat")),
            ({"model": 5}, None, (None, 5)),
            ({"model": None}, None, (None, None)),
            ({"vllm_xargs": {"preset": "chat"}}, None, ("chat", None)),
            ({"vllm_xargs": {"preset": None}}, None, (None, None)),
            ({"vllm_xargs": {"other": 1}}, None, (None, None)),
            ({"vllm_xargs": "chat"}, None, (None, None)),
            ({"vllm_xargs": ["preset"]}, None, (None, None)),
            ({"model": "m:chat", "preset": "对话"}, "Dialogue", ("chat", "m")),
        ],
        ids=str,
    )
    def test_names(
        self, catalogue: Catalogue, body: dict[str, Any], header: str | None, expected: Any
    ) -> None:
        """Each way names a preset; a suffix counts only after a served model's name."""
        assert expected == chosen(catalogue, body, header)

    @pytest.mark.parametrize(
        ("body", "header", "places"),
        [
            ({"preset": "nope"}, None, ["preset"]),
            ({"preset": ""}, None, ["preset"]),
            ({"preset": 0}, None, ["preset"]),
            ({"preset": False}, None, ["preset"]),
            (
                {"preset": {"temprature": 1, "top_p": 2}},
                None,
                ["preset.top_p", "preset.temprature"],
            ),
            ({"preset": {"extends": "nope"}}, None, ["preset.extends"]),
            ({"preset": {"extends": 5}}, None, ["preset.extends"]),
            ({"preset": {5: 5}}, None, ["preset.5"]),
            ({"vllm_xargs": {"preset": {"top_p": 1}}}, None, ["vllm_xargs.preset"]),
            ({"preset": {"temperature": 1}, "model": "m:code"}, None, ["preset"]),
            ({"preset": ["chat"]}, None, ["preset"]),
            ({"model": "m:nope"}, None, ["model"]),
            ({"model": "m:"}, None, ["model"]),
            ({"model": "m:8b:nope"}, None, ["model"]),
            ({}, "", ["header x-sampling-preset"]),
            ({"vllm_xargs": {"preset": 5}}, None, ["vllm_xargs.preset"]),
            (
                {"model": "m:a", "preset": "b", "vllm_xargs": {"preset": "c"}},
                "d",
                ["model", "preset", "header x-sampling-preset", "vllm_xargs.preset"],
            ),
            ({"preset": "chat", "model": "m:code"}, None, ["preset"]),
            ({"preset": "chat", "model": "m:code"}, "nope", ["header x-sampling-preset", "preset"]),
            ({"preset": "chat"}, "translation", ["preset"]),
        ],
        ids=str,
    )
    def test_problems(
        self, catalogue: Catalogue, body: dict[str, Any], header: str | None, places: list[str]
    ) -> None:
        """Every unknown name and every contradiction is reported, with its path."""
        with pytest.raises(RequestError) as error:
            chosen(catalogue, body, header)

        assert [problem.path for problem in error.value.problems] == places

    def test_presets_of_equal_content_disagree_all_the_same(self, catalogue: Catalogue) -> None:
        """A request that names two presets is refused, even if both sample alike."""
        with pytest.raises(RequestError, match="model says code, preset says math"):
            chosen(catalogue, {"model": "m:code", "preset": "math"})
