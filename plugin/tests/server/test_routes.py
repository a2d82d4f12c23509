"""`GET /v1/presets` and `GET /v1/presets/{name}`, without vLLM."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from temperament import Catalogue
from temperament.presets import as_preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.routes import router
from temperament.server.served import Served


def client(admission: Admission | None) -> TestClient:
    """Returns a client of an application with the plugin's routes alone."""
    app = FastAPI()
    app.include_router(router(Served(admission), logging.getLogger()))
    return TestClient(app)


class TestList:
    """`GET /v1/presets`."""

    def test_every_preset(self, admission: Admission, catalogue: Catalogue) -> None:
        """The list has everything about each preset."""
        answer = client(replace(admission, default=catalogue["cuts"])).get("/v1/presets").json()
        presets = {preset["name"]: preset for preset in answer["data"]}

        assert "cuts" == answer["default"]
        assert presets.keys() == catalogue.keys()
        assert presets["chat"]["digest"] == catalogue["chat"].digest
        assert "通用对话。" == presets["chat"]["summary"]["zh"]
        assert {"logit_bias": {"5": 150.0}} == presets["bias"]["parameters"]
        assert ["top_p", "temperature"] == presets["turned"]["order"]
        assert {
            "max_tokens": 7,
            "stop": ["END", "。"],
            "seed": 3,
        } == presets["fields"]["generation"]

    def test_both_temperatures(self, admission: Admission) -> None:
        """The drawn number is among the parameters, the file's beside it with its scale."""
        chat = client(admission).get("/v1/presets/chat").json()

        assert {"temperature": 0.6} == chat["parameters"]
        stated = {"temperature": 1.3, "temperature_scale": "deepseek-api"}
        assert {"preset": stated} == chat["stated"]
        assert "temperature 1.3 on deepseek-api is drawn at 0.6: " in chat["notes"][0]
        assert "stated" not in client(admission).get("/v1/presets/cuts").json()

    def test_no_default(self, admission: Admission) -> None:
        """Without a default preset, `default` is null."""
        assert client(admission).get("/v1/presets").json()["default"] is None


class TestOne:
    """`GET /v1/presets/{name}`."""

    @pytest.mark.parametrize("name", ["chat", "CHAT", "对话", "%E5%AF%B9%E8%AF%9D"])
    def test_names(self, admission: Admission, name: str) -> None:
        """A preset is found by its name and by each alias."""
        assert "chat" == client(admission).get(f"/v1/presets/{name}").json()["name"]

    def test_plans(self, admission: Admission) -> None:
        """Each endpoint that takes presets has a plan, over the lower layers, with the reasons."""
        below = as_preset({"temperature": 0.5, "repetition_penalty": 1.1}, Catalogue({}))
        admission = replace(admission, model_defaults=below)
        preset = client(admission).get("/v1/presets/turned").json()
        plans = preset["plans"]

        assert {path for path, e in ENDPOINTS.items() if not e.unsupported} == plans.keys()
        assert preset["plan"] == plans["/v1/chat/completions"]
        assert 1.1 == preset["plan"]["native"]["repetition_penalty"]
        assert ["top_p", "temperature"] == preset["plan"]["residual"]
        assert [
            "native",
            "residual",
            "residual",
        ] == [stage["runs"] for stage in preset["plan"]["stages"]]
        assert "vllm applies temperature before top_p" == preset["plan"]["stages"][1]["reason"]
        # There vLLM fills in the model's penalty by itself, before the processor runs.
        assert ["top_p", "temperature"] == plans["/v1/messages"]["residual"]

    def test_unknown(self, admission: Admission) -> None:
        """An unknown name is answered 404, with the nearest names."""
        answer = client(admission).get("/v1/presets/caht")

        assert 404 == answer.status_code
        assert "did you mean 'chat'" in answer.json()["error"]["message"]


def test_before_the_start() -> None:
    """Until the server has started, the routes answer 503."""
    for path in "/v1/presets", "/v1/presets/chat":
        assert 503 == client(None).get(path).status_code
