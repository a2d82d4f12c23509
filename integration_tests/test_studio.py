"""Looking at real models: `inspect` on local weights and on a running server."""

from __future__ import annotations

import io
import json
import math
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness.server import Server
from temperament.cli import main

STUDY = Path(__file__).parents[1] / "docs" / "study"
PROMPT = "The capital of France is"
CHAIN = """\
temperature: 0.8
top_k: 50
top_p: 0.95
min_p: 0.01
order: [top_k, top_p, temperature]
"""


def command(*arguments: str | Path) -> str:
    """What the command prints in this process, which has imported torch already."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = main([*map(str, arguments)])
    assert 0 == status
    return printed.getvalue()


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two presets."""
    folder = tmp_path_factory.mktemp("presets")
    (folder / "mixed.yaml").write_text(CHAIN, encoding="utf-8")
    (folder / "penalised.yaml").write_text("repetition_penalty: 1.2", encoding="utf-8")
    return folder


def inspect(presets: Path, *arguments: str | Path) -> Any:
    """The JSON of `inspect creative mixed penalised`."""
    return json.loads(
        command(
            "--presets", presets, "inspect", "creative", "mixed", "penalised", "--prompt", PROMPT,
            "--json", *arguments,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def local(presets: Path, smollm2_path: Path) -> Any:
    """The inspection of local weights."""
    return inspect(presets, "--model", smollm2_path)


def test_local_weights(local: Any, smollm2_path: Path) -> None:
    """The model's own distribution is the model's, and the stages do what they say."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path)
    model = AutoModelForCausalLM.from_pretrained(smollm2_path, dtype=torch.float32)
    with torch.inference_mode():
        logits = model(**tokenizer(PROMPT, return_tensors="pt")).logits[0, -1].double()
    shown = [token["id"] for token in local["tokens"]]
    creative, mixed, penalised = local["presets"]

    assert "␣Paris" == local["tokens"][0]["text"]
    assert (
        pytest.approx(logits.softmax(-1)[shown].tolist(), rel=1e-3)
        == creative["stages"][0]["probabilities"]
    )
    assert (
        pytest.approx((logits / 0.8).softmax(-1)[shown].tolist(), rel=1e-3)
        == creative["stages"][1]["probabilities"]
    )
    stages = mixed["stages"]
    assert ["top_k", "top_p", "temperature", "min_p"] == [stage["stage"] for stage in stages[1:]]
    assert 50 == stages[1]["kept"]
    assert stages[2]["removed_mass"] <= 0.05
    assert all(one["kept"] >= other["kept"] for one, other in pairwise(stages))
    assert 0 == penalised["stages"][1]["removed"]
    assert penalised["stages"][1]["moved"] > 0


def shares(stage: Any) -> list[float]:
    """The probabilities of the first ten tokens; NaN for one that was removed."""
    return [math.nan if share is None else share for share in stage["probabilities"][:10]]


def test_a_running_server_tells_the_same(
    presets: Path, shallow_path: Path, v1_server: Server
) -> None:
    """The server's logits give the same numbers, tokens' names and all."""
    local = inspect(presets, "--model", shallow_path)
    served = inspect(presets, "--server", v1_server.url)

    assert local["prompt_ids"] == served["prompt_ids"]
    assert local["tokens"][:10] == served["tokens"][:10]
    assert 1.0 == served["seen"]
    # The server returned log-probabilities, and the tokens of the prompt had logits above 0.
    assert (["repetition_penalty"], []) == (served["inexact"], local["inexact"])
    for one, other in zip(local["presets"][:2], served["presets"][:2], strict=True):
        assert one["digest"] == other["digest"]
        for here, there in zip(one["stages"], other["stages"], strict=True):
            assert here["stage"] == there["stage"]
            assert pytest.approx(there["entropy"], abs=2e-3) == here["entropy"]
            assert pytest.approx(shares(there), rel=2e-2, nan_ok=True) == shares(here)


def test_the_study_is_repeated(smollm2_path: Path, gemma_path: Path, tmp_path: Path) -> None:
    """A context of every kind, measured again, gives the entropies of docs/study.md."""
    models = {"SmolLM2-135M-Instruct": smollm2_path, "Gemma-3-270M": gemma_path}
    named = [word for name, path in models.items() for word in ("--model", f"{name}={path}")]
    printed = command("study", *named, "--each", "1", "--out", tmp_path)

    assert "| `temperature` | 0.7 |" in printed
    assert (tmp_path / "equal-en-light.png").is_file()
    for name in models:
        (head, *again), (known_head, *known) = (
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for path in (tmp_path / f"{name}.jsonl", STUDY / f"{name}.jsonl")
        )
        by_context = {entry["context"]: entry["entropy"] for entry in known}

        assert head == known_head
        assert 5 == len(again)
        for entry in again:
            assert pytest.approx(by_context[entry["context"]], abs=0.02) == entry["entropy"]


def test_a_comparison(v1_server: Server, tmp_path: Path) -> None:
    """Greedy texts of a prompt are equal, those at temperature 1.3 are not."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Once upon a time\nThe best way to\n", encoding="utf-8")
    (tmp_path / "hot.yaml").write_text("temperature: 1.3\n", encoding="utf-8")
    compared = json.loads(
        command(
            "--presets", tmp_path / "hot.yaml", "compare", "code", "hot",
            "--server", v1_server.url, "--prompts", prompts, "--samples", "2",
            "--max-tokens", "24", "--json", "--png", tmp_path / "c.png",
        )
    )  # fmt: skip
    values = {
        name: [estimate["value"] for estimate in measure["estimates"]]
        for name, measure in compared["measures"].items()
    }

    assert ["code", "hot"] == [label.partition("@")[0] for label in compared["presets"]]
    assert pytest.approx(1) == values["self-BLEU"][0]
    assert values["self-BLEU"][1] < 0.5
    assert values["distinct-2"][0] <= 0.5 < values["distinct-2"][1]
    assert values["surprise"][0] < values["surprise"][1]
    assert all(0 < length <= 24 for length in values["length"])
    assert all(speed > 0 for speed in values["speed"])
    assert (tmp_path / "c.png").is_file()
