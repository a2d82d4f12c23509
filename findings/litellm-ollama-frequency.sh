#!/usr/bin/env bash
# Guess: LiteLLM sends `frequency_penalty` to Ollama under its own name, which Ollama has, too.
# Fact: for models behind `ollama_chat/` it sends the number as `repeat_penalty`, by which a logit is
#   divided: 0.5, which should lower what was said, doubles its logit, and 0, which should do nothing,
#   divides by 0. Behind `ollama/` the number goes under its own name.
# Package: litellm 1.110.2.
# Why it matters: a client of the proxy that turns repetitions down turns them up, without a word; and
#   the two prefixes for the same model sample differently.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install litellm==1.110.2
observe <<'PY'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import litellm

logging.disable(logging.CRITICAL)
arrived = []
ANSWERS = {
    "/api/chat": {"message": {"role": "assistant", "content": "Hi"}, "done": True},
    "/api/generate": {"response": "Hi", "done": True},
}


class Ollama(BaseHTTPRequestHandler):
    """Answers as Ollama does, and keeps what arrives."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path in ANSWERS:
            arrived.append((self.path, body.get("options")))
        answer = json.dumps({"model": "m", "done_reason": "stop", **ANSWERS.get(self.path, {})})
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Ollama)
threading.Thread(target=server.serve_forever, daemon=True).start()
for prefix in ("ollama_chat", "ollama"):
    for value in (0.5, 0.0, -0.5):
        litellm.completion(
            f"{prefix}/m",
            [{"role": "user", "content": "Hello"}],
            api_base=f"http://127.0.0.1:{server.server_port}",
            frequency_penalty=value,
        )
        path, options = arrived.pop()
        print(f"{prefix}: frequency_penalty {value} arrives at {path} as {options}")
PY
expect <<'SEEN'
ollama_chat: frequency_penalty 0.5 arrives at /api/chat as {'repeat_penalty': 0.5}
ollama_chat: frequency_penalty 0.0 arrives at /api/chat as {'repeat_penalty': 0.0}
ollama_chat: frequency_penalty -0.5 arrives at /api/chat as {'repeat_penalty': -0.5}
ollama: frequency_penalty 0.5 arrives at /api/generate as {'frequency_penalty': 0.5}
ollama: frequency_penalty 0.0 arrives at /api/generate as {'frequency_penalty': 0.0}
ollama: frequency_penalty -0.5 arrives at /api/generate as {'frequency_penalty': -0.5}
SEEN
echo "LiteLLM sends frequency_penalty to Ollama's chat as repeat_penalty"
