"""`transformers serve` with presets, over HTTP: a folder's `custom_generate/generate.py`.

The server is the real one, with a tiny model in float32, asked by the `openai` client.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import torch
from fastapi import HTTPException

pytest.importorskip("transformers.cli.serving")

from transformers import AutoModelForCausalLM, AutoTokenizer, dynamic_module_utils
from transformers.cli.serve import Serve

from integration_tests.harness.models import ROOT
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


@contextmanager
def serving(modules: Path, model: str | None, **options: Any) -> Iterator[str]:
    """The address of a server, which runs in a thread of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(modules))
        running = Serve(
            model, trust_remote_code=True, device="cpu", dtype="float32", host="127.0.0.1", port=0,
            non_blocking=True, **options,
        )  # fmt: skip
        while not running.server.started:
            time.sleep(0.05)
        port = running.server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            running.kill_server()


def client(address: str) -> openai.OpenAI:
    """The client of the `openai` package."""
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[SimpleNamespace]:
    """The server with the folder, and a client for it."""
    with serving(folder / "modules", str(folder)) as address:
        yield SimpleNamespace(client=client(address), model=str(folder))


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


def refusal(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The reason with which a call is answered 400."""
    with pytest.raises(openai.BadRequestError) as refused:
        call(*arguments, **options)
    reason: str = refused.value.response.json()["detail"]
    return reason


def text(server: SimpleNamespace, config: Any, **fields: Any) -> str:
    """The text of that answer."""
    content: str = (
        ask(server, config, **{"max_tokens": TOKENS, **fields}).choices[0].message.content
    )
    return content


def with_generate(hub: SimpleNamespace, preset: Any, prompt: str = "") -> str:
    """The text that `generate` gives for the same chat, or after this prompt."""
    inputs = hub.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    if prompt:
        inputs = hub.tokenizer(prompt, return_tensors="pt")
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
    reason = refusal(text, server, config)
    with pytest.raises(openai.APIError) as ended:
        list(ask(server, config, stream=True))

    for message in messages:
        assert message in reason
        assert message in str(ended.value.body)


def test_an_unknown_field_of_the_body(server: SimpleNamespace) -> None:
    """The server itself refuses `preset` as a field of the body."""
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        server.client.chat.completions.create(
            model=server.model, messages=MESSAGES, extra_body={"preset": "code"}
        )

    assert "Unexpected fields in the request: {'preset'}" in refused.value.response.text


PROMPT = "Once upon a time"


def test_completions(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """`/v1/completions` takes a preset too, streamed or not, and refuses one that can't run."""

    def complete(preset: Any, **more: Any) -> Any:
        config = {"generation_config": json.dumps({"preset": preset})}
        return server.client.completions.create(
            model=server.model, prompt=PROMPT, max_tokens=TOKENS, extra_body=config, **more
        )

    expected = with_generate(hub, SEEDED, PROMPT)
    pieces = [chunk.choices[0].text or "" for chunk in complete(SEEDED, stream=True)]

    assert "did you mean 'creative'" in refusal(complete, "creativ")
    assert expected == complete(SEEDED).choices[0].text
    # a stream leaves out bytes at the end that are no character
    assert expected.rstrip("\ufffd") == "".join(pieces)


def test_responses(server: SimpleNamespace, hub: SimpleNamespace) -> None:
    """`/v1/responses` takes a preset too, streamed or not, and refuses one that can't run."""

    def respond(preset: Any, *, stream: bool = False) -> Any:
        config = {"generation_config": json.dumps({"preset": preset})}
        return server.client.responses.create(
            model=server.model, input=MESSAGES, max_output_tokens=TOKENS, extra_body=config,
            stream=stream,
        )  # fmt: skip

    expected = with_generate(hub, LETTERLESS)
    deltas = [
        event.delta
        for event in respond(LETTERLESS, stream=True)
        if event.type == "response.output_text.delta"
    ]

    assert "did you mean 'creative'" in refusal(respond, "creativ")
    assert expected == respond(LETTERLESS).output_text
    assert expected.rstrip("\ufffd") == "".join(deltas)


class TestContinuousBatching:
    """With `--continuous-batching` no preset is taken, and none is left out in silence."""

    REASON = "passes nothing of a request on"

    @pytest.fixture(autouse=True)
    def started_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command line has the option, and nothing of the folder was read yet."""
        for name in [name for name in sys.modules if name.endswith((".serve", ".generate"))]:
            if name.startswith(("temperament.", "transformers_modules.")):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "argv", [*sys.argv, "--continuous-batching"])

    def test_a_start_with_the_folder(self, folder: Path) -> None:
        """A server that loads the folder as it starts doesn't start."""
        with (
            pytest.raises(HTTPException, match=self.REASON),
            serving(folder / "modules", str(folder), continuous_batching=True),
        ):
            pass

    def test_requests(self, folder: Path, tiny_path: Path, hub: SimpleNamespace) -> None:
        """A request for the folder is answered 400; of other models all sample as the first."""
        small = {"cb_block_size": 8, "cb_num_blocks": 64, "cb_max_batch_tokens": 64}
        with serving(folder / "modules", None, continuous_batching=True, **small) as address:
            ours, plain = (
                SimpleNamespace(client=client(address), model=str(path))
                for path in (folder, tiny_path)
            )
            reasons = [refusal(ask, ours, {"preset": "code"}, stream=way) for way in (False, True)]
            first = text(plain, {"do_sample": False})
            drawn = text(plain, {"do_sample": True, "temperature": 5.0})

        assert [True, True] == [self.REASON in reason for reason in reasons]
        assert with_generate(hub, {"temperature": 0}) == first
        assert first == drawn
