"""`vllm run-batch`, which loads no endpoint plugin, drops no preset without a word."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from integration_tests.harness import forks
from integration_tests.harness.environments import ON_SHARED_CORES, environment

LOCKED = json.dumps({"temperament": {"locked": {"temperature": {"max": 1}}}})
REFUSED = "additional_config.temperament: locked: can't be kept: requests reach the engine past"


def run_batch(
    model: Path, folder: Path, fields: list[dict[str, Any]], *arguments: str
) -> tuple[int, str, list[Any]]:
    """Runs `vllm run-batch` on a request with each of `fields`: status, log, answers."""
    asked, answers = folder / "asked.jsonl", folder / "answers.jsonl"
    body = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body | each}
        for n, each in enumerate(fields)
    ]
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["vllm", "run-batch", "-i", str(asked), "-o", str(answers), "--model", str(model)]
    command += ["--served-model-name", "tiny", "--max-model-len", "256", "--enforce-eager"]
    done = subprocess.run(
        forks.command("v1", [*command, *arguments]) or [*command, *arguments],
        env=environment() | ON_SHARED_CORES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    found = answers.read_text().splitlines() if answers.exists() else []
    return done.returncode, done.stdout, [json.loads(line) for line in found]


def test_a_start_that_is_refused(tiny_path: Path, tmp_path: Path) -> None:
    """A setting that couldn't hold, and a line that names a preset: both reasons, nothing runs."""
    fields: list[dict[str, Any]] = [{}, {"preset": "code"}]
    status, log, answers = run_batch(tiny_path, tmp_path, fields, "--additional-config", LOCKED)

    assert status != 0
    assert f"{REFUSED} Temperament; given: vllm run-batch" in log
    assert "asked.jsonl:2: body.preset: vllm run-batch would sample without it" in log
    assert [] == answers


def test_where_only_installed(tiny_path: Path, tmp_path: Path) -> None:
    """A batch runs as without Temperament; a preset in `vllm_xargs` reaches it, and is refused."""
    status, log, answers = run_batch(tiny_path, tmp_path, [{}, {"vllm_xargs": {"preset": "code"}}])
    errors = [str((answer["response"] or {}).get("body") or answer["error"]) for answer in answers]

    assert 0 == status, log
    assert [200, 400] == [answer["response"]["status_code"] for answer in answers]
    assert "vllm_xargs.preset: this server reads no presets from requests" in errors[1]
