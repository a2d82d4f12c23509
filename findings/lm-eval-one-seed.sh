#!/usr/bin/env bash
# Guess: a task with `repeats: 3` and a temperature draws three answers of a server to each question,
#   and stops at each text of its list.
# Fact: every request has the seed 1234. A server that honours it writes one text three times, so that
#   pass@3 is pass@1. And to chat completions only the first four of the texts are sent.
# Package: lm_eval 0.4.13.
# Why it matters: measures over several samples look as if the model were sure of its answers; a task
#   with five stops gets answers that its authors didn't mean.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install "lm_eval[api]==0.4.13"
observe <<'PY'
import json
import logging
import os
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ["HF_HOME"] = str(Path("hf").absolute())
import lm_eval

logging.disable(logging.CRITICAL)
arrived = []
WORDS = ("red", "green", "blue", "grey", "pink")


class Server(BaseHTTPRequestHandler):
    """Draws a word by the request's seed, as a server does that honours it; keeps what arrives."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        word = random.Random(body.get("seed")).choice(WORDS)
        arrived.append((body, word))
        choice = {"index": 0, "text": word, "message": {"role": "assistant", "content": word}}
        answer = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
Path("samples.jsonl").write_text("".join(f'{{"q": "Colour {n}?", "a": "red"}}\n' for n in range(2)))
task = {
    "task": "colours",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "samples.jsonl"}},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{q}}",
    "doc_to_target": "{{a}}",
    "repeats": 3,
    "generation_kwargs": {"until": list("abcde"), "do_sample": True, "temperature": 1.0},
    "metric_list": [{"metric": "exact_match"}],
}
for kind, path in (("local-completions", "completions"), ("local-chat-completions", "chat/completions")):
    arrived.clear()
    lm_eval.simple_evaluate(
        kind,
        {
            "model": "m", "base_url": f"http://127.0.0.1:{server.server_port}/v1/{path}",
            "tokenizer_backend": None, "tokenized_requests": False,
        },
        [task],
        apply_chat_template="chat" in kind,
        bootstrap_iters=0,
    )  # fmt: skip
    seeds = sorted({body["seed"] for body, _ in arrived})
    stops = {tuple(body["stop"]) for body, _ in arrived}
    temperatures = {body["temperature"] for body, _ in arrived}
    words = {word for _, word in arrived}
    print(f"{kind}: {len(arrived)} requests at {temperatures}, seeds {seeds}: {len(words)} text; stops {stops}")
PY
expect <<'SEEN'
local-completions: 6 requests at {1.0}, seeds [1234]: 1 text; stops {('a', 'b', 'c', 'd', 'e')}
local-chat-completions: 6 requests at {1.0}, seeds [1234]: 1 text; stops {('a', 'b', 'c', 'd')}
SEEN
echo "lm-eval draws its repeats with one seed, and sends four stops"
