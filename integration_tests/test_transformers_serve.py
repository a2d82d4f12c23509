"""`transformers serve` with presets, over HTTP: a folder's `custom_generate/generate.py`.

The server is the real one, with a tiny model in float32, asked by the `openai` client.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import torch

pytest.importorskip("transformers.cli.serving")

from transformers import AutoModelForCausalLM, AutoTokenizer, dynamic_module_utils
from transformers.cli.serve import Serve

from integration_tests.harness.models import ROOT
from temperament import EngineError
from temperament.engines.transformers import generate_kwargs

LINE = "from temperament.engines.transformers.serve import generate\n"
MESSAGES: Any = [{"role": "user", "content": "Count to ten."}]
TOKENS = 12
SEEDED = {"temperature": 1.5, "reproducible": True, "seed": 7}
LETTERLESS = {"banned_strings": ["e", "a"], "reproducible": True, "seed": 3}


@pytest.fixture(scope="module")
def folder(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with the line of the documents."""
    folder = tmp_path_factory.mktemp("model")
    for file in tiny_path.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(LINE)
    assert LINE in (ROOT / "docs" / "python.md").read_text()
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[SimpleNamespace]:
    """The server, in a thread of this process, and a client for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(folder / "modules"))
        running = Serve(
            str(folder), trust_remote_code=True, device="cpu", dtype="float32",
            host="127.0.0.1", port=port, non_blocking=True,
        )  # fmt: skip
        while not running.server.started:
            time.sleep(0.05)
        try:
            address = f"http://127.0.0.1:{port}/v1"
            client = openai.OpenAI(base_url=address, api_key="none", max_retries=0)
            yield SimpleNamespace(client=client, model=str(folder))
        finally:
            running.kill_server()


@pytest.fixture(scope="module")
def hub(folder: Path) -> SimpleNamespace:
    """The same model, in this process, without the folder's own `generate`."""
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return SimpleNamespace(model=model, tokenizer=AutoTokenizer.from_pretrained(folder))


def ask(server: SimpleNamespace, config: Any, **fields: Any) -> Any:
    """The answer to a chat whose `generation_config` is this."""
    return server.client.chat.completions.create(
        model=server.model,
        messages=MESSAGES,
        extra_body={"generation_config": json.dumps(config)},
        **fields,
    )


def text(server: SimpleNamespace, config: Any, **fields: Any) -> str:
    """The text of that answer."""
    content: str = (
        ask(server, config, **{"max_tokens": TOKENS, **fields}).choices[0].message.content
    )
    return content


def with_generate(hub: SimpleNamespace, preset: Any) -> str:
    """The text that `generate` gives for the same chat."""
    inputs = hub.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    kwargs = generate_kwargs(preset, hub.tokenizer, model=hub.model)
    done = hub.model.generate(**inputs, **{"max_new_tokens": TOKENS, **kwargs})
    content: str = hub.tokenizer.decode(
        done[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return content


def test_a_preset_for_each_request(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """Requests at the same time have each the text that `generate` gives for their preset."""
    kinds: tuple[dict[str, Any], ...] = (SEEDED, LETTERLESS, {"extends": "code"})
    presets = [{**preset, "max_tokens": 9 + number} for number, preset in enumerate(kinds)]
    expected = [with_generate(hub, preset) for preset in presets]
    with ThreadPoolExecutor(3) as pool:
        found = list(
            pool.map(lambda preset: text(server, {"preset": preset}, max_tokens=None), presets)
        )

    assert 3 == len({*expected})
    assert expected == found


def test_streaming(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """A stream has the same text."""
    chunks = ask(server, {"preset": SEEDED}, max_tokens=TOKENS, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]

    assert len(pieces) > 3
    assert with_generate(hub, SEEDED) == "".join(pieces)


def test_what_a_request_sets_lies_above(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """Fields of the body and of its `generation_config` replace those of the preset."""
    merged = {"temperature": 0.8, "top_k": 3, "xtc_probability": 1.0, "xtc_threshold": 0.001,
              "reproducible": True, "seed": 7}  # fmt: skip
    config = {"preset": {**SEEDED, "top_k": 50}, "top_k": 3, "xtc_probability": 1.0,
              "xtc_threshold": 0.001}  # fmt: skip

    assert with_generate(hub, merged) == text(server, config, temperature=0.8)
    assert with_generate(hub, SEEDED) != text(server, config, temperature=0.8)
    assert with_generate(hub, {"temperature": 0}) == text(
        server, {"preset": SEEDED}, temperature=0, logit_bias={"5": 0}
    )


def test_a_seed(server: SimpleNamespace) -> None:
    """The body's `seed` fixes a text, whoever draws its tokens."""
    for preset in ("creative", {"temperature": 1.5, "reproducible": True}):
        config = {"preset": preset}
        same = {text(server, config, seed=5) for _ in range(2)}

        assert 1 == len(same)
        assert {text(server, config, seed=6)} != same


def test_without_a_preset(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """A request that names none is as before."""
    config = {"do_sample": False, "max_new_tokens": TOKENS}

    assert with_generate(hub, {"temperature": 0}) == text(server, config)


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        ({"preset": "creativ"}, ["did you mean 'creative'"]),
        ({"preset": {"temperature": -1, "top_p": 3}}, ["temperature", "top_p"]),
        ({"preset": "code", "min_pp": 0.1}, ["min_pp", "did you mean 'min_p'"]),
        ({"preset": {"logit_bias": {"50000": 1}}}, ["50000"]),
        ({"preset": {"num_return_sequences": 2}}, ["takes one text"]),
        ({"preset": 3}, ["preset"]),
    ],
)
def test_what_cannot_run(server: SimpleNamespace, config: Any, messages: list[str]) -> None:
    """It is answered 400 with every problem; a stream ends with them."""
    with pytest.raises(openai.BadRequestError) as refused:
        text(server, config)
    with pytest.raises(openai.APIError) as ended:
        list(ask(server, config, stream=True))

    for message in messages:
        assert message in refused.value.response.json()["detail"]
        assert message in str(ended.value.body)


def test_an_unknown_field_of_the_body(server: SimpleNamespace) -> None:
    """The server itself refuses `preset` as a field of the body."""
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        server.client.chat.completions.create(
            model=server.model, messages=MESSAGES, extra_body={"preset": "code"}
        )

    assert "Unexpected fields in the request: {'preset'}" in refused.value.response.text


def test_continuous_batching(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--continuous-batching` presets would be left out: the model isn't loaded."""
    for name in [name for name in sys.modules if name.endswith((".serve", ".generate"))]:
        if name.startswith(("temperament.", "transformers_modules.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--continuous-batching"])
    with pytest.raises(EngineError, match="passes nothing of a request on"):
        AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
