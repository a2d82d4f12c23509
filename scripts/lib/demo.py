"""Asks a small model the same questions under each preset, and shows the answers side by side.

Takes: two minutes on 2 cores, one to eight more the first time, for ./scripts/setup.
Writes: nothing but .venv and the model's folder, see ./scripts/setup and ./scripts/fetch_model.
"""

import itertools
import json
import shutil
import sys
import textwrap
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from integration_tests.harness.models import model_path
from integration_tests.harness.server import Server, ServerError
from scripts.lib.command import parser

PRESETS = ["code", "math", "data", "chat", "translation", "creative"]
PROMPTS = [
    "Write a Python function that returns the n-th Fibonacci number.",
    "Tell me a story about a lighthouse, in three sentences.",
    # The model knows no language but English.
    "Translate into plain English: The feline reposes upon the sun-warmed stone.",
]
# On a CPU bfloat16, which vLLM would choose, takes three times as long.
ARGS = ["--served-model-name", "smollm2", "--max-model-len", "2048", "--dtype", "float32"]
COLUMN = 38


def waiting(seconds: float) -> None:
    """Shows how long the server has been starting: on a terminal, in place."""
    if sys.stderr.isatty():
        print(f"\rvllm serve is starting: {seconds:3.0f} s", end="", file=sys.stderr, flush=True)


def ask(server: Server, preset: str, prompt: str) -> tuple[str, str]:
    """The answer under this preset, and the preset that the server reports."""
    raw = server.client().chat.completions.with_raw_response.create(
        model="smollm2",
        messages=[{"role": "user", "content": prompt}],
        max_tokens=60,
        seed=1,
        extra_body={"preset": preset},
    )
    answer = raw.parse().choices[0].message.content or ""
    return answer, raw.headers.get("X-Sampling-Preset", "no X-Sampling-Preset header")


def facts_of(server: Server, preset: str) -> dict[str, Any]:
    """What the server reports of a preset."""
    with urllib.request.urlopen(f"{server.url}/v1/presets/{preset}") as response:
        preset_facts: dict[str, Any] = json.load(response)
    return preset_facts


def settings(preset_facts: dict[str, Any]) -> str:
    """Every parameter of a preset; a temperature on a scale with the one that is drawn."""
    parameters = {name: json.dumps(value) for name, value in preset_facts["parameters"].items()}
    if stated := preset_facts.get("stated", {}).get("preset"):
        parameters["temperature"] = f"{stated['temperature']}, drawn at {parameters['temperature']}"
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def side_by_side(cells: list[str], width: int) -> str:
    """The texts as columns, as many in a row as the width holds."""
    count = max(1, min(len(cells), (width + 2) // (COLUMN + 2)))
    column = (width + 2) // count - 2
    rows = []
    for start in range(0, len(cells), count):
        wrapped = [
            [part for line in cell.splitlines() for part in textwrap.wrap(line, column) or [""]]
            for cell in cells[start : start + count]
        ]
        lines = itertools.zip_longest(*wrapped, fillvalue="")
        rows.append("\n".join("  ".join(f"{p:{column}}" for p in line).rstrip() for line in lines))
    return "\n\n".join(rows)


def show(server: Server, width: int) -> None:
    """Prints the presets, then each question with its six answers."""
    facts = {name: facts_of(server, name) for name in PRESETS}
    parameters = {name: settings(each) for name, each in facts.items()}
    descriptions = [
        f"[{name}]\n{each['summary']['en']}\n{parameters[name]}" for name, each in facts.items()
    ]
    print(f"\n{side_by_side(descriptions, width)}")
    pairs = [(prompt, preset) for prompt in PROMPTS for preset in PRESETS]
    with ThreadPoolExecutor(len(pairs)) as pool:
        answers = dict(zip(pairs, pool.map(lambda p: ask(server, p[1], p[0]), pairs), strict=True))
    for prompt in PROMPTS:
        cells = [
            f"[{name}] {header}\n{parameters[name]}\n\n{answer}"
            for name in PRESETS
            for answer, header in [answers[prompt, name]]
        ]
        print(f"\n{'─' * width}\n> {prompt}\n\n{side_by_side(cells, width)}")


def how_to_talk_to(server: Server) -> str:
    """Lines to paste: curl, Python, and how to stop the server."""
    question = '[{"role": "user", "content": "Tell me a story."}]'
    return f"""
The server is up at {server.url}. Its log is {server.log}

curl {server.url}/v1/chat/completions -H 'Content-Type: application/json' \\
  -d '{{"model": "smollm2", "preset": "creative", "max_tokens": 60, "messages": {question}}}'

from openai import OpenAI
client = OpenAI(base_url="{server.url}/v1", api_key="none")
client.chat.completions.create(
    model="smollm2", max_tokens=60, extra_body={{"preset": "creative"}}, messages={question}
)

kill -INT {server.process.pid}    # stops it"""


def main() -> None:
    """Runs the demo."""
    options = parser("demo", __doc__)
    options.add_argument("--keep", action="store_true", help="leave the server up")
    keep = options.parse_args().keep
    server = Server(model_path("smollm2"), args=ARGS, timeout=1200, waiting=waiting)
    print("VLLM_PLUGINS=temperament", *server.command, file=sys.stderr)
    with ExitStack() as stack:
        try:
            stack.enter_context(server)
        except ServerError as error:
            sys.exit(f"scripts/demo: {error}")
        show(server, shutil.get_terminal_size((120, 40)).columns)
        if keep:
            stack.pop_all()
            print(how_to_talk_to(server))


if __name__ == "__main__":
    main()
