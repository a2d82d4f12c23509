"""The playground's answers, without a browser: over HTTP to the application in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from temperament.presets import Catalogue
from temperament.stages import PARAMETERS, STAGES
from temperament.studio.playground import api, controls, copying, mount
from temperament.studio.playground import app as alone
from tests.studio.known import KnownSource, preset

CATALOGUE = Catalogue.load(environment=False)


@pytest.fixture
def client(known: KnownSource) -> TestClient:
    return TestClient(alone.app(known, CATALOGUE, "models/known"))


def ask(client: TestClient, path: str, **body: Any) -> Any:
    """An answer's JSON."""
    answer = client.post(f"/v1/playground/{path}", json=body)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def problems(client: TestClient, path: str, **body: Any) -> list[tuple[str, str]]:
    """The places of a refusal's problems."""
    answer = client.post(f"/v1/playground/{path}", json=body)
    assert 400 == answer.status_code
    return [(problem["where"], problem["path"]) for problem in answer.json()["problems"]]


def test_the_presets_begin_with_the_scenarios(client: TestClient) -> None:
    """In groups: the vendor's and those with modes follow, and the examples are last."""
    presets = client.get("/v1/playground/about").json()["presets"]
    listed = [(one["group"]["en"], one["name"]) for one in presets]
    titles = list(dict.fromkeys(title for title, _ in listed))

    assert ["Scenarios", "From the model's vendor", "With modes"] == titles[:3]
    assert "Examples from the articles" == titles[-1]
    assert list(CATALOGUE) == [name for _, name in listed]


class TestPage:
    """The files."""

    @pytest.mark.parametrize("name", api.FILES)
    def test_every_file_is_there(self, client: TestClient, name: str) -> None:
        """Each comes from the package, and allows nothing from elsewhere."""
        answer = client.get(f"/playground/{name}")

        assert 200 == answer.status_code
        assert answer.headers["content-type"].startswith(api.FILES[name])
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http" not in answer.text.replace("HTTP", "")

    def test_no_file_is_forgotten(self) -> None:
        """What lies in the folder is what is served."""

        assert {path.name for path in api.PAGE.iterdir()} == {
            name or "index.html" for name in api.FILES
        }

    @pytest.mark.parametrize("name", ["../api.py", "..%2fapi.py", "nothing.js", "a/b"])
    def test_no_other_file_is_served(self, client: TestClient, name: str) -> None:
        """A path out of the folder is no file."""

        assert 404 == client.get(f"/playground/{name}").status_code

    def test_the_root_leads_to_the_page(self, client: TestClient) -> None:
        """`/` and `/playground` go where the page is."""

        assert "Temperament" in client.get("/").text
        assert (
            "/playground/" == client.get("/playground", follow_redirects=False).headers["location"]
        )


class TestAbout:
    """What the page must know."""

    def test_every_stage_and_preset(self, client: TestClient) -> None:
        """The page gets all parameters of all stages, and all presets with their values."""
        answer = client.get("/v1/playground/about").json()
        names = [p["name"] for stage in answer["stages"] for p in stage["parameters"]]

        assert ("known", list(PARAMETERS)) == (answer["model"], names)
        assert list(CATALOGUE) == [entry["name"] for entry in answer["presets"]]
        assert all(stage["summary"]["en"] and stage["summary"]["zh"] for stage in answer["stages"])

    @pytest.mark.parametrize("parameter", [p for p in PARAMETERS.values() if p.numeric])
    def test_a_slider_stays_in_the_range(self, parameter: Any) -> None:
        """What can be reached by sliding is allowed, and off is on it or has a spelling."""
        low, high, step = controls.slider(parameter)

        assert parameter.low <= low < high <= parameter.high
        assert (low > parameter.low) or not parameter.low_open
        assert (high < parameter.high) or not parameter.high_open
        assert low <= parameter.unset <= high or parameter.unset in parameter.off
        assert 0 < step <= (high - low) / 2

    def test_every_slider_belongs_to_a_number(self) -> None:
        """Only a parameter that is a number has a slider of its own."""
        assert [] == [p.name for p in PARAMETERS.values() if p.slider and not p.numeric]
        assert len(controls.stages()) == len(STAGES)


class TestInspect:
    """The distributions."""

    def test_two_sides(self, client: TestClient) -> None:
        """Each side has its ways, on the same tokens."""
        sides = [{"top_k": 2}, {"temperature": 2, "order": ["temperature"]}]
        answer = ask(client, "inspect", prompt="a", sides=sides, top=3)
        (one,), (other,) = answer["sides"]

        assert 3 == len(answer["tokens"])
        assert ["", "top_k"] == [stage["stage"] for stage in one["stages"]]
        assert ["", "temperature"] == [stage["stage"] for stage in other["stages"]]
        assert [True, True, False] == [p is not None for p in one["stages"][1]["probabilities"]]

    def test_modes_are_ways_of_a_side(self, client: TestClient) -> None:
        """A preset with modes has a way for each."""
        modes = {"calm": {"temperature": 0.5}, "wild": {"temperature": 2}}
        rule = {"from": "calm", "on": {"tokens": 5}, "to": "wild"}
        side = {"modes": modes, "start": "calm", "switch": [rule]}
        answer = ask(client, "inspect", prompt="a", sides=[side, {}])

        assert [["calm", "wild"], [""]] == [
            [way["mode"] for way in side] for side in answer["sides"]
        ]

    def test_the_model_is_asked_once_for_a_prompt(
        self, client: TestClient, known: KnownSource
    ) -> None:
        """A slider moves without a forward pass; another prompt takes one."""
        for k in (1, 2, 3):
            ask(client, "inspect", prompt="a", sides=[{"top_k": k}])
        ask(client, "inspect", prompt="ab", sides=[{}])

        assert 2 == len(known.asked)

    def test_every_problem_of_every_side(self, client: TestClient) -> None:
        """Each problem says its side and its parameter."""
        sides = [{"top_p": 3, "top_k": -5}, {"temprature": 1}]

        assert [("0", "top_k"), ("0", "top_p"), ("1", "temprature")] == sorted(
            problems(client, "inspect", prompt="a", sides=sides)
        )

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"prompt": "", "sides": [{}]}, "prompt"),
            ({"sides": [{}]}, "prompt"),
            ({"prompt": "a"}, "sides"),
            ({"prompt": "a", "sides": []}, "sides"),
            ({"prompt": "a", "sides": [{}] * 5}, "sides"),
            ({"prompt": "a", "sides": [{}], "seed": -1}, "seed"),
            ({"prompt": "a", "sides": [{}], "seed": 0.5}, "seed"),
            ({"prompt": "a", "sides": [{}], "top": 0}, "top"),
        ],
    )
    def test_a_question_that_is_none(
        self, client: TestClient, body: dict[str, Any], path: str
    ) -> None:
        """What is missing or out of range is named."""

        assert [path] == [place for _, place in problems(client, "inspect", **body)]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
    def test_a_body_that_is_no_object(self, client: TestClient, body: bytes) -> None:
        """Anything but a JSON object is refused."""

        assert 400 == client.post("/v1/playground/inspect", content=body).status_code
        assert 400 == client.post("/v1/playground/generate", content=body).status_code


class TestGenerate:
    """A text, a line of JSON a token."""

    def test_the_tokens_come_one_by_one(self, client: TestClient) -> None:
        """Each with its surprise, and without a mode where there is none."""
        body = {"prompt": "a", "side": {}, "max_tokens": 3}
        lines = client.post("/v1/playground/generate", json=body).text.splitlines()

        assert [
            {"text": word, "surprise": 1.0, "mode": ""} for word in ("cat", "dog", "bird")
        ] == list(map(json.loads, lines))

    def test_problems_before_and_within(self, client: TestClient) -> None:
        """A wrong preset is HTTP 400; what is found once the text has begun is its last line."""
        wrong = {"prompt": "a", "side": {"top_p": 3}}
        late = {"prompt": "", "side": {}}
        answer = client.post("/v1/playground/generate", json=late)

        assert [("0", "top_p")] == problems(client, "generate", **wrong)
        assert "prompt" == json.loads(answer.text)["problems"][0]["path"]


class TestCopy:
    """The forms that are pasted. That they run is tested with real engines."""

    def test_each_form(self, client: TestClient) -> None:
        """One preset is copied in four forms, and those in Python compile."""
        side = {"temperature": 0.7, "top_p": 0.9}
        answer = ask(client, "copy", prompt="a 'b'", side=side, name="mine", seed=3, max_tokens=9)

        assert {"yaml", "extra_body", "generate", "serve"} == answer.keys()
        assert "temperature: 0.7" in answer["yaml"]
        assert "model='models/known'" in answer["extra_body"]
        assert "vllm serve models/known --additional-config '{" in answer["serve"]
        for name in ("extra_body", "generate"):
            compile(answer[name], name, "exec")

    @pytest.mark.parametrize("name", ["", "Ü", "a/b", "../x", None, "x" * 65])
    def test_a_name_that_is_none(self, client: TestClient, name: Any) -> None:
        """A preset's file must have a preset's name."""

        assert [("playground", "name")] == problems(client, "copy", prompt="a", side={}, name=name)

    def test_what_a_preset_says_of_its_own_stands_in_the_call(self) -> None:
        """Its own limit, seed and stop texts, in the places that the client has for them."""
        chosen = preset(max_tokens=7, seed=5, stop=["END"], top_k=3)
        forms = copying.texts(
            chosen, name="n", model="m", served="m", prompt="p", chat=True, seed=1, max_tokens=2
        )

        assert (
            "max_tokens=7,\n    seed=5,\n    stop=['END'],\n    extra_body={'top_k': 3}"
            in (forms["extra_body"])
        )
        assert "seeds=[5]" in forms["generate"]


class TestServer:
    """Inside a server."""

    def test_before_it_has_started(self) -> None:
        """The answer is 503 with a sentence."""
        app = FastAPI()
        app.include_router(api.data(lambda: None))
        client = TestClient(app)

        assert 503 == client.get("/v1/playground/about").status_code
        assert 503 == client.post("/v1/playground/generate", json={}).status_code

    def test_it_talks_to_itself_with_the_key_of_the_page(
        self, monkeypatch: pytest.MonkeyPatch, known: KnownSource
    ) -> None:
        """The key that a page's request brings is the one that the server is asked with."""
        keys = []

        async def connect(client: Any, tokenizer: Any) -> KnownSource:
            keys.append((client.headers.get("authorization"), tokenizer))
            return known

        monkeypatch.setattr("temperament.studio.playground.mount.remote.connect", connect)
        app = FastAPI()
        mount.mount(app, CATALOGUE, "served", lambda: "tokenizer")
        client = TestClient(app)
        client.get("/v1/playground/about", headers={"Authorization": "Bearer k"})
        client.get("/v1/playground/about")

        assert [("Bearer k", "tokenizer"), (None, "tokenizer")] == keys

    def test_each_request_opens_its_source_and_closes_it(self, known: KnownSource) -> None:
        """Each request opens its source and closes it, also one that is refused."""
        log = []

        @asynccontextmanager
        async def opened(_: Request) -> AsyncIterator[KnownSource]:
            log.append("open")
            try:
                yield known
            finally:
                log.append("close")

        app = FastAPI()
        page = api.Playground(opened, CATALOGUE, "m")
        app.include_router(api.data(lambda: page))
        client = TestClient(app)
        ask(client, "inspect", prompt="a", sides=[{}])
        problems(client, "inspect", prompt="", sides=[{}])
        client.post("/v1/playground/generate", json={"prompt": "a", "side": {}, "max_tokens": 2})

        assert ["open", "close"] * 3 == log
