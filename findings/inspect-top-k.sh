#!/usr/bin/env bash
# Guess: Inspect's `top_k` reaches a vLLM or SGLang server: the description of it names these two.
# Fact: it isn't sent to either, without a word; temperature, top_p and seed are.
# Packages: inspect-ai 0.3.285, openai 3.57.0.
# Why it matters: most vendors recommend a `top_k`. An evaluation with the recommended numbers draws
#   from all tokens. `extra_body={"top_k": 20}` is sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install inspect-ai==0.3.285 openai==3.57.0
observe <<'PY'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from inspect_ai.model import GenerateConfig, get_model

arrived = []


class Server(BaseHTTPRequestHandler):
    """Answers as a server of OpenAI's API does, and keeps what arrives."""

    def answer(self, content):
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "m", "object": "model", "root": "m"}]})

    def do_POST(self):
        arrived.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        message = {"role": "assistant", "content": "Hi"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
FIELDS = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "seed": 1}


async def ask(provider, **fields):
    model = get_model(f"{provider}/m", base_url=url, api_key="none", config=GenerateConfig(**fields))
    await model.generate("Hello")
    body = arrived.pop()
    return {name: body.get(name, "isn't sent") for name in FIELDS}


for provider in ("vllm", "sglang"):
    print(f"{provider}: {asyncio.run(ask(provider, **FIELDS))}")
print(f"vllm, extra_body: {asyncio.run(ask('vllm', extra_body={'top_k': 20}))}")
PY
expect <<'SEEN'
vllm: {'temperature': 0.6, 'top_p': 0.95, 'top_k': "isn't sent", 'seed': 1}
sglang: {'temperature': 0.6, 'top_p': 0.95, 'top_k': "isn't sent", 'seed': 1}
vllm, extra_body: {'temperature': "isn't sent", 'top_p': "isn't sent", 'top_k': 20, 'seed': "isn't sent"}
SEEN
echo "Inspect's top_k doesn't reach vLLM or SGLang"
