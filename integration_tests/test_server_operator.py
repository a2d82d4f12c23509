"""A server for operators: keys, restrictions, reloads, metrics, the list of models, faults."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError

from integration_tests.harness.ask import CHAT, ENDPOINTS, MESSAGES, RESPONSES, ask, body, post
from integration_tests.harness.models import model_path
from integration_tests.harness.server import ON_SHARED_CORES, Server, ServerError

KEY = "the-operators-key"
PROMPT = "A sentence that no log may hold."
FAULTS = Path(__file__).parent / "harness" / "faults"
# vLLM's own choices for a start as short as can be, on the runner that a CPU gets
ARGS = ["--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "256"]
SETTINGS: dict[str, Any] = {
    "advertise": True,
    "allow": ["mine", "code", "chat", "coding-assistant", "broken"],
    "locked": {"temperature": {"max": 1.3}, "seed": {}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the operator's presets."""
    folder = tmp_path_factory.mktemp("presets")
    (folder / "mine.yaml").write_text("temperature: 0.5\nmin_p: 0.1\n")
    (folder / "broken.yaml").write_text("temperature: 0\nskew: 0.5\nmin_p: 0.0\n")
    (folder / "coding-assistant.yaml").write_text(
        "modes: {prose: {temperature: 1.0}, code: {temperature: 0.0}}\n"
        "switch: [{from: [prose], on: {tokens: 2}, to: code}]\n"
    )
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server with a key, restrictions, and an error in the stage `skew`."""
    settings = {"temperament": {**SETTINGS, "presets": [str(folder)]}}
    path = os.pathsep.join(filter(None, [str(FAULTS), os.environ.get("PYTHONPATH")]))
    env = {"PYTHONPATH": path, "TEMPERAMENT_TEST_FAULT": "skew", **ON_SHARED_CORES}
    args = [*ARGS, "--additional-config", json.dumps(settings)]
    with Server(model_path("tiny"), "v1", args, env=env, api_key=KEY) as running:
        yield running


def get(server: Server, path: str, key: str = KEY) -> httpx.Response:
    """The answer to a GET with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{server.url}{path}", headers=headers, timeout=300)


def metrics(server: Server) -> dict[str, float]:
    """Temperament's metrics: name with labels -> value."""
    lines = get(server, "/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("temperament_")]
    return {name: float(value) for name, value in pairs}


def log(server: Server) -> str:
    """The log of the server's processes."""
    return server.log.read_text(errors="replace")


class TestStart:
    """The first line, and starts that end."""

    def test_one_line_describes_the_server(self, server: Server) -> None:
        """One line of the log has the version, the runner, the labels, the default and the plan."""
        [line] = re.findall(r"temperament \d+\.\d+\.\d+: .*", log(server))

        assert "V1 runner on cpu; model not known; presets " in line
        assert "mine@" in line
        assert "creative@" not in line
        assert "; default none; " in line
        assert "; temperatures drawn: deepseek-api 0 at 0 (code), 1.3 at 0.6 (chat); " in line
        assert line.endswith(
            "; plan auto: vLLM does logit_bias, temperature, min_p, Temperament does all else"
        )

    def test_draft_tokens_on_v1(self) -> None:
        """V1 with draft tokens would load no logits processor, so the start ends with an error."""
        drafts = {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}
        args = [*ARGS, "--speculative-config", json.dumps(drafts)]
        server = Server(model_path("tiny"), "v1", args, env=ON_SHARED_CORES)
        with pytest.raises(ServerError, match="vLLM ended"), server:
            pass

        assert "speculative_config: loads no plugin's logits processors" in log(server)
        assert "VLLM_USE_V2_MODEL_RUNNER=1" in log(server)

    def test_a_pooling_model_is_left_alone(self) -> None:
        """A pooling model starts and answers as without the plugin."""
        args = [*ARGS, "--runner", "pooling"]
        with Server(model_path("tiny"), "v1", args, env=ON_SHARED_CORES) as pooling:
            answer = httpx.post(
                f"{pooling.url}/pooling", json={"model": "tiny", "input": "a"}, timeout=300
            )

            assert 200 == answer.status_code
            assert 404 == httpx.get(f"{pooling.url}/v1/presets", timeout=300).status_code


class TestKey:
    """A request without the key reaches nothing of Temperament."""

    def test_routes_and_requests(self, server: Server) -> None:
        """vLLM answers 401; no request is counted, and no preset is named."""
        before = {k: v for k, v in metrics(server).items() if "requests" in k or "refusals" in k}
        for key in ("none", "wrong"):
            headers = {"Authorization": f"Bearer {key}"}
            for path in ENDPOINTS:
                answer = post(server, path, {**body(path, "tiny"), "preset": "nope"}, headers)
                assert 401 == answer.status
                assert "preset" not in str(answer.json)
            for path in ("/v1/presets", "/v1/presets/mine", "/v1/models"):
                assert 401 == get(server, path, key).status_code
            assert 401 == post(server, "/v1/presets/reload", {}, headers).status

        assert before == {
            k: v for k, v in metrics(server).items() if "requests" in k or "refusals" in k
        }

    def test_no_line_of_the_log_has_a_prompt_or_a_key(self, server: Server) -> None:
        """Temperament's log lines have no prompt and no key, for good and bad requests."""
        ask(server, CHAT, "tiny", PROMPT, preset="mine")
        ask(server, CHAT, "tiny", PROMPT, preset="broken")
        ask(server, CHAT, "tiny", PROMPT, preset="nope")
        lines = [line for line in log(server).splitlines() if "temperament" in line]

        assert lines
        assert not [line for line in lines if KEY in line]
        assert PROMPT not in log(server)


class TestRestrictions:
    """The restrictions `allow` and `locked`."""

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_within(self, server: Server, path: str) -> None:
        """A request may name an allowed preset, bring its own, or have none."""
        assert 200 == ask(server, path, "tiny").status
        assert (ask(server, path, "tiny", preset="mine").label or "").startswith("mine@")
        inline = {"extends": "mine", "top_k": 5, "xtc_probability": 0.5}
        assert (ask(server, path, "tiny", preset=inline).label or "").startswith("inline@")

    @pytest.mark.parametrize("path", ENDPOINTS)
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"preset": "creative"}, "doesn't allow this preset"),
            ({"temperature": 1.31}, "out of this server's bounds; given: 1.31; allowed: at most"),
            ({"preset": {"temperature": 1.5}}, "out of this server's bounds; given: 1.5"),
            ({"preset": {"extends": "story"}}, "preset.extends: this server doesn't allow"),
        ],
        ids=str,
    )
    def test_beyond(self, server: Server, path: str, fields: dict[str, Any], message: str) -> None:
        """A request beyond the restrictions is answered 400 with the reason."""
        answer = ask(server, path, "tiny", **fields)

        assert 400 == answer.status
        assert message in answer.message

    def test_locked(self, server: Server) -> None:
        """A request that sets a locked field is refused."""
        answer = ask(server, CHAT, "tiny", preset="mine", seed=3)

        assert 400 == answer.status
        assert "seed: this server doesn't let requests set it" in answer.message

    def test_names_are_no_paths(self, server: Server, folder: Path) -> None:
        """A path in place of a preset's name is an unknown preset."""
        for word in (str(folder / "mine.yaml"), "../mine", "/etc/passwd", "file:///etc/passwd"):
            answer = ask(server, CHAT, "tiny", preset=word)
            assert (400, True) == (answer.status, "unknown preset" in answer.message)
            assert 404 == get(server, f"/v1/presets/{word}").status_code


class TestModels:
    """MODEL:PRESET, as a chat front end sees it."""

    def test_listed(self, server: Server) -> None:
        """`GET /v1/models` lists MODEL:PRESET for each allowed preset."""
        names = [model.id for model in server.client().models.list()]

        assert "tiny" == names[0]
        assert {f"tiny:{name}" for name in SETTINGS["allow"]} == set(names[1:])

    def test_works(self, server: Server) -> None:
        """Every answer has the model's name with the preset, in streams too."""
        client, name = server.client(), "tiny:mine"
        messages: Any = [{"role": "user", "content": "a"}]
        chat = client.chat.completions.create(model=name, messages=messages, max_tokens=3)
        stream = client.chat.completions.create(
            model=name, messages=messages, max_tokens=3, stream=True
        )
        text = client.completions.create(model=name, prompt="a", max_tokens=3)
        response = client.responses.create(model=name, input="a", max_output_tokens=16)
        events = client.responses.create(model=name, input="a", max_output_tokens=16, stream=True)
        streamed = [e.response.model for e in events if hasattr(e, "response")]

        assert {name} == {chat.model, text.model, response.model, *streamed}
        assert {name} == {chunk.model for chunk in stream}
        assert name == post(server, MESSAGES, body(MESSAGES, name)).json["model"]
        assert "tiny" == post(server, RESPONSES, body(RESPONSES, "tiny")).json["model"]

    def test_one_that_is_not_allowed(self, server: Server) -> None:
        """A preset that isn't allowed is refused in the model's name too."""
        with pytest.raises(BadRequestError, match="doesn't allow this preset"):
            server.client().completions.create(model="tiny:creative", prompt="a")


class TestReload:
    """A preset is changed while the server runs."""

    def test_a_change_a_mistake_and_its_mending(self, server: Server, folder: Path) -> None:
        """The server notices a changed file; a mistake changes nothing and is reported."""
        file, old = folder / "mine.yaml", ask(server, CHAT, "tiny", preset="mine").label
        file.write_text("temperature: 0.25\nmin_p: 0.1\n")
        for _ in range(100):
            time.sleep(0.2)
            new = ask(server, CHAT, "tiny", preset="mine", max_tokens=1).label
            if new != old:
                break
        assert new != old
        failed = metrics(server)['temperament_reloads_total{result="failed"}']

        file.write_text("temperature: hot\n")
        answer = post(server, "/v1/presets/reload", {})
        listed = get(server, "/v1/presets").json()

        assert 400 == answer.status
        assert "mine.yaml:1: temperature: not allowed; given: 'hot'" in answer.message
        assert "mine.yaml:1" in listed["problems"][0]
        assert new == ask(server, CHAT, "tiny", preset="mine").label
        assert metrics(server)['temperament_reloads_total{result="failed"}'] > failed
        assert "the presets stay as they were" in log(server)

        file.write_text("temperature: 0.5\nmin_p: 0.1\n")
        assert 200 == post(server, "/v1/presets/reload", {}).status
        assert old == ask(server, CHAT, "tiny", preset="mine").label
        assert [] == get(server, "/v1/presets").json()["problems"]


class TestFault:
    """An error in a stage, in the engine's process."""

    def test_the_engine_lives(self, server: Server) -> None:
        """The request is answered without its preset; the log and the metrics tell of it."""
        count = 'temperament_fallbacks_total{stage="skew"}'
        before = metrics(server).get(count, 0)
        answer = ask(server, CHAT, "tiny", preset="broken", temperature=0.7, min_tokens=2)
        label = get(server, "/v1/presets/broken").json()["digest"]

        assert 200 == answer.status
        assert answer.text
        assert f"broken@{label} goes on without a preset; ZeroDivisionError" in log(server)
        assert before + 1 == metrics(server)[count]
        assert 200 == ask(server, CHAT, "tiny", preset="mine").status


class TestMetrics:
    """Temperament's metrics on vLLM's `/metrics`."""

    def test_what_is_counted(self, server: Server) -> None:
        """Requests by preset, refusals by reason, seconds of steps, mode switches are counted."""
        before = metrics(server)
        assert 200 == ask(server, CHAT, "tiny", preset="coding-assistant").status
        ask(server, CHAT, "tiny", preset="nope")
        ask(server, CHAT, "tiny", preset="creative")
        after = metrics(server)

        def grown(name: str) -> float:
            return after[name] - before.get(name, 0)

        assert 1 == grown('temperament_requests_total{preset="coding-assistant"}')
        assert 1 == grown('temperament_refusals_total{reason="unknown_preset"}')
        assert 1 == grown('temperament_refusals_total{reason="restricted"}')
        assert 4 == grown("temperament_step_seconds_count")
        assert grown("temperament_step_seconds_sum") > 0
        assert 1 == grown("temperament_mode_switches_total")
