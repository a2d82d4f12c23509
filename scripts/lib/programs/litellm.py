"""LiteLLM's proxy, before a server on loopback that keeps what arrives.

What arrives is a request to vLLM's server, and `process` draws with its fields: vLLM's own samplers
are compared with Temperament's in `plugin/tests/ops/test_engines.py`.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import torch
import yaml
from scripts.lib.fetch_model import fetch
from scripts.lib.programs.stages import Program, drawn_logits, measured, presets
from transformers import AutoTokenizer

from temperament import Catalogue, process
from temperament.interchange import export, read
from temperament.presets import as_preset

SECONDS = 300
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "MODEL",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "x"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
MESSAGES = [{"role": "user", "content": "x"}]
KEY = f"sk-{secrets.token_hex(32)}"  # the proxy doesn't start without one


class Recorder(ThreadingHTTPServer):
    """A server on loopback that answers every request alike and keeps the last body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body: dict[str, Any] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        self.server.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Writes no log."""


def litellm(python: str) -> Program:
    """Exported entries in the proxy, in the environment of `python`."""
    logits, tokens = drawn_logits()
    tokenizer = AutoTokenizer.from_pretrained(fetch("smollm2"))
    texts = [export(preset, "litellm")[0] for preset in presets().values()]
    body_of = dict(zip(texts, bodies(python, texts), strict=True))

    def drawn(text: str) -> torch.Tensor:
        fields = {name: value for name, value in body_of[text].items() if name != "messages"}
        reading = read(json.dumps(fields), format_name="vllm-extra-body")
        row = process(
            logits[None], as_preset(reading.preset, Catalogue({})),
            output_ids=[tokens], seeds=[1], tokenizer=tokenizer,
        )  # fmt: skip
        return row[0].softmax(-1)

    told = [python, "-c", "from importlib.metadata import version; print(version('litellm'))"]
    version = subprocess.run(told, text=True, capture_output=True, check=True).stdout.strip()
    return Program(version, measured("litellm", drawn, logits, tokens))


def bodies(python: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """What arrives for each file. Raises `RuntimeError` if the proxy doesn't start."""
    recorder = Recorder()
    there = {"api_base": f"http://127.0.0.1:{recorder.server_port}/v1", "api_key": KEY}
    entries = [yaml.safe_load(text)["model_list"][0] for text in texts]
    models = [
        {"model_name": str(number), "litellm_params": {**entry["litellm_params"], **there}}
        for number, entry in enumerate(entries)
    ]
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder, "config.yaml"), Path(folder, "log")
        config.write_text(yaml.safe_dump({"model_list": models}), encoding="utf-8")
        port = str(free_port())
        with log.open("w", encoding="utf-8") as file:
            proxy = subprocess.Popen(
                [str(Path(python).parent / "litellm"), "--config", str(config),
                 "--host", "127.0.0.1", "--port", port, "--telemetry", "False"],
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                     "LITELLM_MASTER_KEY": KEY},
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", timeout=SECONDS,
                headers={"Authorization": f"Bearer {KEY}"},
            ) as client:  # fmt: skip
                wait(client, proxy, log)
                return [asked(client, recorder, str(number)) for number in range(len(models))]
        finally:
            proxy.terminate()
            proxy.wait()
            recorder.shutdown()


def free_port() -> int:
    """A port that is free now: the proxy doesn't tell which it took where it is given 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait(client: httpx.Client, proxy: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the proxy answers. Raises `RuntimeError` with its log if it doesn't."""
    until = time.monotonic() + SECONDS
    while proxy.poll() is None and time.monotonic() < until:
        try:
            client.get("/health/liveliness").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(log.read_text(encoding="utf-8"))


def asked(client: httpx.Client, recorder: Recorder, model: str) -> dict[str, Any]:
    """What arrives of a request to the model of this name."""
    answer = client.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES})
    if answer.is_error:
        raise RuntimeError(answer.text)
    return recorder.body
