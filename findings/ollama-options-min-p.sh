#!/usr/bin/env bash
# Guess: the `Options` of Ollama's Python client have all of the server's sampling parameters, and
#   refuse what they don't know.
# Fact: `Options` has no `min_p`, drops it without a word, and anything else that it doesn't know. A dict
#   goes as it is. LangChain's ChatOllama has neither `min_p` nor `frequency_penalty`, and drops both.
# Packages: ollama 0.6.3, langchain-ollama 1.1.0.
# Why it matters: Ollama samples with `min_p`, so a setting of `min_p: 0.1` seems to act. With the
#   typed class, which an editor completes, nothing is cut.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install ollama==0.6.3 langchain-ollama==1.1.0
observe <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import ollama
from langchain_ollama import ChatOllama

arrived = []


class Ollama(BaseHTTPRequestHandler):
    """Answers as Ollama does, and keeps the options that arrive."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        arrived.append(body.get("options"))
        message = {"role": "assistant", "content": "Hi"}
        answer = json.dumps({"model": "m", "message": message, "done": True, "done_reason": "stop"})
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Ollama)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
client = ollama.Client(host)
values = {"temperature": 0.7, "min_p": 0.1, "frequency_penalty": 0.5}
hello = [{"role": "user", "content": "Hello"}]
for name, options in (("a dict", values), ("Options", ollama.Options(**values))):
    client.chat("m", hello, options=options)
    print(f"ollama, {name}: {arrived.pop()}")
ChatOllama(model="m", base_url=host, **values).invoke("Hello")
print(f"ChatOllama: {arrived.pop()}")
PY
expect <<'SEEN'
ollama, a dict: {'temperature': 0.7, 'min_p': 0.1, 'frequency_penalty': 0.5}
ollama, Options: {'temperature': 0.7, 'frequency_penalty': 0.5}
ChatOllama: {'temperature': 0.7}
SEEN
echo "Ollama's Options drop min_p, and ChatOllama frequency_penalty too"
