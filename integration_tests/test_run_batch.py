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


def run_batch(model: Path, folder: Path, *arguments: str) -> tuple[int, str, list[Any]]:
    """Runs `vllm run-batch` on three requests: its status, its log, its answers."""
    asked, answers = folder / "asked.jsonl", folder / "answers.jsonl"
    naming: list[dict[str, Any]] = [{}, {"preset": "code"}, {"vllm_xargs": {"preset": "code"}}]
    body = {"model": "tiny", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    lines = [
        {"custom_id": str(n), "method": "POST", "url": "/v1/chat/completions", "body": body | each}
        for n, each in enumerate(naming)
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


def test_run_batch_under_a_lock(tiny_path: Path, tmp_path: Path) -> None:
    """A batch whose settings couldn't hold is refused with the reason, before it runs."""
    status, log, answers = run_batch(tiny_path, tmp_path, "--additional-config", LOCKED)

    assert status != 0
    assert f"{REFUSED} Temperament; given: vllm run-batch" in log
    assert [] == answers


def test_run_batch_where_only_installed(tiny_path: Path, tmp_path: Path) -> None:
    """The log says that presets aren't read; in `vllm_xargs`, which reaches us, one is refused."""
    status, log, answers = run_batch(tiny_path, tmp_path)
    errors = [str((answer["response"] or {}).get("body") or answer["error"]) for answer in answers]

    assert 0 == status
    assert "temperament: vllm run-batch reads no presets: a request that names one is" in log
    assert [200, 200, 400] == [answer["response"]["status_code"] for answer in answers]
    assert "vllm_xargs.preset: this server reads no presets from requests" in errors[2]
