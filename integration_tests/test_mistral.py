"""Presets on Mistral's own tokenizers, tekken and SentencePiece, which aren't Transformers'.

vLLM chooses them for every repository of Mistral's. The model is random: two layers, and as many
logits as the tokenizer has tokens.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import mistral_common
import pytest
from transformers import MistralConfig, MistralForCausalLM, set_seed

from integration_tests.harness.ask import COMPLETIONS, Answer, ask
from integration_tests.harness.server import ON_SHARED_CORES, Server
from temperament import Catalogue

DATA = Path(mistral_common.__file__).parent / "data"
# name -> (the file of mistral-common, the name that vLLM wants, the size of the vocabulary)
TOKENIZERS = {
    "tekken": ("tekken_240911.json", "tekken.json", 131072),
    "sentencepiece": (
        "mistral_instruct_tokenizer_240323.model.v3",
        "tokenizer.model.v3",
        32768,
    ),
}
ARGUMENTS = (
    *("--tokenizer-mode", "mistral", "--dtype", "float32", "--max-model-len", "512"),
    *(
        "--served-model-name",
        "mistral",
        "--max-num-seqs",
        "8",
        "--logprobs-mode",
        "processed_logprobs",
        "--max-logprobs",
        "-1",
    ),
)
PROMPT = "the quick brown fox"
REMOVED = -9999.0  # vLLM's API writes this for a log-probability of -inf


def model(folder: Path, name: str) -> Path:
    """Makes a random Mistral with one of mistral-common's tokenizers; returns its folder."""
    source, target, size = TOKENIZERS[name]
    set_seed(0)
    config = MistralConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=True,
        initializer_range=0.5,
    )
    MistralForCausalLM(config).save_pretrained(folder / name)
    shutil.copy(DATA / source, folder / name / target)
    return folder / name


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Both servers, started together: a start is mostly imports on one core."""
    folder = tmp_path_factory.mktemp("mistral")
    with ExitStack() as stack:
        servers = {}
        for name in TOKENIZERS:
            server = Server(model(folder, name), "v1", ARGUMENTS, env=ON_SHARED_CORES)
            servers[name] = server.launch()
            stack.callback(server.stop)
        yield servers


@pytest.fixture(scope="module", params=TOKENIZERS)
def server(servers: dict[str, Server], request: pytest.FixtureRequest) -> Server:
    """The server with one of the tokenizers."""
    return servers[request.param].wait()


def complete(server: Server, **fields: Any) -> Answer:
    """Returns the completion of the prompt, greedy unless the fields say otherwise."""
    fields = {"temperature": 0.0, "max_tokens": 24, "return_token_ids": True, **fields}
    answer = ask(server, COMPLETIONS, "mistral", text=PROMPT, **fields)
    assert 200 == answer.status, answer.json
    return answer


def ids(answer: Answer) -> list[int]:
    """Returns the tokens of a completion."""
    return list(answer.json["choices"][0]["token_ids"])


def middle_of(text: str) -> str:
    """Returns four characters inside a text, without spaces or half characters."""
    found = next(
        text[start : start + 4]
        for start in range(len(text) // 3, len(text) - 4)
        if "�" not in text[start : start + 4]
        and text[start : start + 4].strip() == text[start : start + 4]
    )
    return str(found)


def test_banned_strings(server: Server) -> None:
    """A text that the model would write doesn't appear, however its tokens cut it."""
    text = complete(server).text
    banned = middle_of(text)
    after = complete(server, banned_strings=[banned]).text

    assert banned in text
    assert banned not in after
    assert after


def test_dry(server: Server) -> None:
    """A token that a bias forces again and again is held back once it would repeat a pair."""
    forced = ids(complete(server, max_tokens=1))[0]
    fields = {"max_tokens": 12, "logit_bias": {str(forced): 50.0}}
    before = ids(complete(server, **fields))
    dry = {"dry_multiplier": 1000.0, "dry_allowed_length": 1, "dry_sequence_breakers": []}
    after = list(pairwise(ids(complete(server, **fields, **dry))))

    assert [forced] * 12 == before
    assert len(after) == len(set(after))


def test_xtc_spares_newlines(server: Server) -> None:
    """XTC removes the top choices of a step, but for tokens that hold a newline."""
    fields = {"xtc_probability": 1.0, "xtc_threshold": 0.0, "temperature": 1.0, "max_tokens": 1}
    logprobs = complete(server, **fields, logprobs=-1).json["choices"][0]["logprobs"]
    left = [token for token, value in logprobs["top_logprobs"][0].items() if value > REMOVED]

    protected = [token for token in left if "\n" in token or token in ("<0x0A>", "</s>")]

    assert protected
    assert len(left) <= len(protected) + 1  # and the least likely of the top choices


def test_a_mode_switches_on_a_text(server: Server) -> None:
    """The mode changes behind the text of the trigger, as the trace of the answer shows."""
    text = complete(server).text
    trigger = middle_of(text)
    preset = {
        "modes": {"before": {"temperature": 0.0}, "after": {"temperature": 0.0}},
        "switch": [{"from": "before", "on": {"text": trigger}, "to": "after"}],
    }
    answer = ask(
        server, COMPLETIONS, "mistral", text=PROMPT, max_tokens=24, preset=preset, preset_trace=True
    )
    trace = answer.json["choices"][0]["preset_trace"]

    assert text == answer.text
    assert [("before", "after")] == [(s["from"], s["to"]) for s in trace["switches"]]
    begun, found, rest = trace["spans"][0]["text"].partition(trigger)
    assert trigger == found, begun
    assert len(rest) < 16  # no more than the rest of the token that ends the trigger


def test_every_shipped_preset(server: Server) -> None:
    """Each preset that can be sampled with on this model is, and says so."""
    catalogue = Catalogue.load(environment=False)
    for name, preset in catalogue.items():
        answer = ask(server, COMPLETIONS, "mistral", text=PROMPT, max_tokens=2, preset=name)
        if preset.unbound:
            assert 400 == answer.status, name
        else:
            assert 200 == answer.status, (name, answer.json)
            assert answer.label is not None and answer.label.startswith(f"{name}@")


def test_the_engine_lost_no_preset(server: Server) -> None:
    """No request of this module went on without its preset: the guard had nothing to catch."""
    metrics = httpx.get(f"{server.url}/metrics", timeout=300).text
    lost = [
        line
        for line in metrics.splitlines()
        if line.startswith("temperament_fallbacks") and not line.endswith(" 0.0")
    ]

    assert [] == lost
