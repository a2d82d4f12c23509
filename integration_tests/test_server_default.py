"""A server with a default preset, presets of its own, values of the model's own, and an API key."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import temperament
from integration_tests.harness.ask import (
    CHAT,
    COMPLETIONS,
    ENDPOINTS,
    HEADER,
    MESSAGES,
    ask,
    body,
    post,
)
from integration_tests.harness.models import ROOT
from integration_tests.harness.server import ON_SHARED_CORES, Server
from temperament import Catalogue
from temperament.server import settings

KEY = "sesame"
SCENARIOS = ("code", "math", "data", "chat", "translation", "creative")
MODEL = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.3}
WIDE = {"top_k": 0, "top_p": 1}
OWN_PRESETS = {
    "wide": "summary: {en: No cuts., zh: 不截断。}\ntop_k: 0\ntop_p: 1\n",
    "short": "extends: code\nmax_tokens: 3\n",
    "seeded": "extends: creative\nseed: 5\n",
    "halting": "extends: code\nstop: [a, e, ' ', '1']\n",
    "chat": "extends: chat\nsource: Replaced by the operator., the same values.\n",
}


@pytest.fixture(scope="module")
def server(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`vllm serve --config configs/serve/chat.yaml` with a key, on the tiny model."""
    folder = tmp_path_factory.mktemp("presets")
    for name, text in OWN_PRESETS.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    args = [
        *("--config", str(ROOT / "configs" / "serve" / "chat.yaml")),
        *("--served-model-name", "tiny", "tiny:v2"),
        *("--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "8"),
        *("--logprobs-mode", "processed_logprobs"),
        *("--override-generation-config", json.dumps(MODEL)),
    ]
    env = {"TEMPERAMENT_PRESETS": str(folder), **ON_SHARED_CORES}
    with Server(tiny_path, "v1", args, env=env, api_key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def parser() -> ArgumentParser:
    """vLLM's own parser of its command line."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser: ArgumentParser = FlexibleArgumentParser()
    ServeSubcommand().subparser_init(parser.add_subparsers())
    return parser


@pytest.fixture(scope="module")
def prompt(tiny_path: Path) -> list[int]:
    """The token ids of a prompt."""
    return list(AutoTokenizer.from_pretrained(tiny_path)("def main(argv):")["input_ids"])


@pytest.fixture(scope="module")
def logits(tiny_path: Path, prompt: list[int]) -> torch.Tensor:
    """Transformers' logits after the prompt: [1, vocab]."""
    model = AutoModelForCausalLM.from_pretrained(tiny_path, dtype=torch.float32).eval()
    with torch.inference_mode():
        return torch.as_tensor(model(torch.tensor([prompt])).logits[:, -1])


class TestServeConfigs:
    """The files of `configs/serve` set defaults."""

    @pytest.mark.parametrize("name", [*SCENARIOS, "recommended"])
    def test_each_makes_its_scenario_the_default(self, parser: ArgumentParser, name: str) -> None:
        """vLLM reads from the file a default preset of the file's name."""
        path = ROOT / "configs" / "serve" / f"{name}.yaml"
        args = parser.parse_args(["serve", "MODEL", "--config", str(path)])
        chosen = settings.read(args.additional_config)

        assert name == chosen.default
        assert name == Catalogue.load(chosen.presets).resolve(chosen.default).name
        assert f"configs/serve/{name}.yaml" in path.read_text(encoding="utf-8")

    def test_there_is_one_for_each(self) -> None:
        """Each scenario of the README has a preset file."""
        files = (ROOT / "configs" / "serve").iterdir()

        assert {file.name for file in files} >= {f"{name}.yaml" for name in SCENARIOS}


class TestPrecedence:
    """The layers: the request, its preset, the server's default, the model's values."""

    @pytest.mark.parametrize(
        ("fields", "values", "label"),
        [
            ({}, {**MODEL, "temperature": 0.6}, "chat"),
            ({"preset": "chat"}, {**MODEL, "temperature": 0.6}, "chat"),
            ({"preset": "creative"}, {**MODEL, "temperature": 0.8}, "creative"),
            (
                {"preset": "creative", "temperature_scale": "weights"},
                {**MODEL, "temperature": 1.5},
                "creative",
            ),
            ({"preset": "wide"}, {**MODEL, "temperature": 0.6, **WIDE}, "wide"),
            ({"temperature": 0.9}, {**MODEL, "temperature": 0.9}, "chat"),
            ({"temperature": None}, {**MODEL, "temperature": 0.6}, "chat"),
            ({"top_k": 0}, {**MODEL, "temperature": 0.6, "top_k": 0}, "chat"),
            ({"top_p": 1, "top_k": -1}, {**MODEL, "temperature": 0.6, **WIDE}, "chat"),
            (
                {"preset": "wide", "top_k": 3, "repetition_penalty": 1},
                {"temperature": 0.6, "top_k": 3},
                "wide",
            ),
            (
                {"preset": "creative", "temperature": 2.5, "min_p": 0.05},
                {**MODEL, "temperature": 2.5, "min_p": 0.05},
                "creative",
            ),
            (
                {"order": ["top_p", "temperature"]},
                {**MODEL, "temperature": 0.6, "order": ["top_p", "temperature"]},
                "chat",
            ),
            ({"model": "tiny:wide"}, {**MODEL, "temperature": 0.6, **WIDE}, "wide"),
            ({"model": "tiny:v2"}, {**MODEL, "temperature": 0.6}, "chat"),
            ({"model": "tiny:v2:wide"}, {**MODEL, "temperature": 0.6, **WIDE}, "wide"),
        ],
        ids=str,
    )
    def test_of_values(
        self,
        server: Server,
        logits: torch.Tensor,
        prompt: list[int],
        fields: dict[str, Any],
        values: dict[str, Any],
        label: str,
    ) -> None:
        """The server draws from the distribution of the resolved values."""
        asked = {"model": "tiny", "prompt": prompt, "max_tokens": 1, "logprobs": 20}
        options = {"return_tokens_as_token_ids": True}
        answer = post(server, COMPLETIONS, asked | options | fields)
        top = answer.json["choices"][0]["logprobs"]["top_logprobs"][0]
        drawn = {int(token.removeprefix("token_id:")): exp(p) for token, p in top.items()}

        expected = temperament.process(logits, values, prompt_ids=[prompt]).softmax(-1)[0].topk(20)
        for token, p in zip(expected.indices.tolist(), expected.values.tolist(), strict=True):
            assert pytest.approx(p, abs=1e-3) == drawn.get(token, 0.0)
        assert answer.label and answer.label.startswith(f"{label}@")

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_the_default_is_on_every_endpoint(self, server: Server, path: str) -> None:
        """A request without a preset is answered with the default preset."""
        answer = ask(server, path, "tiny")

        assert 200 == answer.status
        assert Catalogue.load()["chat"].label == answer.label

    def test_a_value_of_the_models_that_messages_cannot_carry(self, server: Server) -> None:
        """vLLM fills in the model's penalty on this endpoint, so another one is refused."""
        same = ask(server, MESSAGES, "tiny:wide", repetition_penalty=1.3)
        other = ask(server, MESSAGES, "tiny:wide", repetition_penalty=1.2)

        assert 200 == same.status
        assert 400 == other.status
        assert "repetition_penalty: the model's generation_config sets it to 1.3" in other.message
        assert "given: 1.2" in other.message

    def test_beam_search_needs_no_preset(self, server: Server) -> None:
        """Beam search runs without the default preset."""
        answer = ask(server, CHAT, "tiny", use_beam_search=True, n=2)

        assert (200, None) == (answer.status, answer.label)


class TestGenerationFields:
    """`max_tokens`, `stop` and `seed` of a preset."""

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_max_tokens(self, server: Server, path: str) -> None:
        """The preset's limit holds until the request sets another."""
        content = body(path, "tiny:short")
        limits = ("max_tokens", "max_output_tokens")
        without = {name: value for name, value in content.items() if name not in limits}
        lengths = []
        for asked in (without, {**without, **dict.fromkeys(limits, 5)}):
            usage = post(server, path, {**asked, "ignore_eos": True}).json["usage"]
            lengths.append(usage.get("completion_tokens", usage.get("output_tokens")))

        assert [3, 5] == lengths

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_stop(self, server: Server, path: str) -> None:
        """The preset's stops hold until the request sets others, or an empty list."""
        field = {MESSAGES: "stop_sequences"}.get(path, "stop")
        content = body(path, "tiny:halting", max_tokens=16)
        complete = post(server, path, {**content, "model": "tiny:code"}).text
        stopped = post(server, path, content)
        others = [post(server, path, {**content, field: stop}) for stop in (["@@"], [])]

        assert 200 == stopped.status
        assert complete.startswith(stopped.text) and stopped.text != complete
        assert [complete] * 2 == [other.text for other in others]

    def test_seed(self, server: Server) -> None:
        """The preset's seed gives equal texts, and another seed of the request another text."""
        texts = [
            ask(server, COMPLETIONS, "tiny:seeded", max_tokens=8, **fields).text
            for fields in ({}, {}, {"seed": 6}, {"seed": 5})
        ]

        assert texts[0] == texts[1] == texts[3] != texts[2]

    def test_a_seed_on_messages(self, server: Server) -> None:
        """vLLM takes no seed on this endpoint, so the preset is refused."""
        answer = ask(server, MESSAGES, "tiny:seeded")

        assert 400 == answer.status
        assert "seed: can't be set on vllm /v1/messages; given: 5" in answer.message


class TestRoutes:
    """`GET /v1/presets` lists presets, and `GET /v1/presets/{name}` shows one."""

    def get(self, server: Server, name: str = "") -> httpx.Response:
        """The answer to a GET with the key."""
        url = f"{server.url}/v1/presets{name and '/'}{name}"
        return httpx.get(url, headers={"Authorization": f"Bearer {KEY}"})

    def test_the_list(self, server: Server) -> None:
        """The list has shipped presets and the operator's, and names the default."""
        answer = self.get(server).json()
        presets = {preset["name"]: preset for preset in answer["data"]}

        assert "list" == answer["object"]
        assert temperament.__version__ == answer["version"]
        assert "chat" == answer["default"]
        assert presets.keys() >= {*SCENARIOS, "default", *OWN_PRESETS}
        assert {"temperature": 0.8} == presets["creative"]["parameters"]
        assert {"max_tokens": 3} == presets["short"]["generation"]
        assert presets["chat"]["source"].startswith("Replaced by the operator")
        assert "通用对话" in presets["chat"]["aliases"]

    @pytest.mark.parametrize("name", ["creative", "CREATIVE", "创意写作", "poetry"])
    def test_one_preset(self, server: Server, name: str) -> None:
        """Each of its names shows the preset, with the plan that this server has for it."""
        preset = self.get(server, name).json()

        assert "creative" == preset["name"]
        assert Catalogue.load()["creative"].digest == preset["digest"]
        stages = ["repetition_penalty", "temperature", "top_k", "top_p"]
        assert stages == preset["plan"]["residual"]
        assert 1.0 == preset["plan"]["native"]["repetition_penalty"]
        assert 1.0 == preset["plan"]["native"]["temperature"]
        assert "cpu" in preset["plan"]["stages"][-1]["reason"]
        assert preset["plans"].keys() >= set(ENDPOINTS)

    def test_a_plan_that_is_native(self, server: Server) -> None:
        """The plan for `wide` on /v1/messages leaves nothing to us."""
        plan = self.get(server, "wide").json()["plans"][MESSAGES]

        assert [] == plan["residual"]
        assert 0.6 == plan["native"]["temperature"]

    def test_an_unknown_preset(self, server: Server) -> None:
        """An unknown preset is answered 404 with the nearest names."""
        answer = self.get(server, "creativ")

        assert 404 == answer.status_code
        assert "did you mean 'creative'" in answer.json()["error"]["message"]


class TestApiKey:
    """vLLM's authentication comes before everything of Temperament."""

    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=str)
    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_no_work_is_done_without_it(
        self, server: Server, path: str, headers: dict[str, str]
    ) -> None:
        """A wrong key is answered 401 before the preset, the value or the JSON is looked at."""
        for content in (b'{"preset": "nope", "temperature": "x"}', b"{"):
            answer = httpx.post(f"{server.url}{path}", content=content, headers=headers)

            assert 401 == answer.status_code
            assert "preset" not in answer.text
            assert HEADER not in answer.headers

    @pytest.mark.parametrize("path", ["/v1/presets", "/v1/presets/chat", "/v1/presets/nope"])
    def test_presets_are_not_shown_without_it(self, server: Server, path: str) -> None:
        """Names that exist and names that don't are both answered 401."""
        answer = httpx.get(f"{server.url}{path}")

        assert 401 == answer.status_code
        assert "chat" not in answer.text
