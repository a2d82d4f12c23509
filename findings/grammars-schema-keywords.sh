#!/usr/bin/env bash
# Guess: a library that makes a grammar of a JSON schema keeps each of its keywords, or refuses it.
# Fact: xgrammar and outlines-core drop `uniqueItems`, `contains`, `dependentRequired`, `not`, `if`
#   and a `required` in `anyOf` without a word, so that the model may write what the schema forbids;
#   llguidance refuses what it can't keep. outlines-core drops `minimum`, too. All three forbid 1.0,
#   which is an integer by the standard.
# Packages: xgrammar 0.2.8, llguidance 1.7.6, outlines-core 0.2.14.
# Why it matters: "the answer is valid by construction" holds for some keywords only, and which ones
#   depends on the library behind the server. Answers must still be checked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0 xgrammar==0.2.8 llguidance==1.7.6 outlines-core==0.2.14
observe <<'PY'
import json
import re

import llguidance
import xgrammar
from outlines_core.json_schema import build_regex_from_schema

INTEGERS = {"type": "array", "items": {"type": "integer"}}
TWO = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "additionalProperties": False,
}
# keyword: (schema, valid, invalid)
CASES = {
    "minimum": ({"type": "integer", "minimum": 10}, "12", "3"),
    "maxItems": (INTEGERS | {"maxItems": 1}, "[1]", "[1, 2]"),
    "uniqueItems": (INTEGERS | {"uniqueItems": True}, "[1, 2]", "[1, 1]"),
    "contains": (INTEGERS | {"contains": {"const": 5}}, "[5]", "[1]"),
    "dependentRequired": (TWO | {"dependentRequired": {"a": ["b"]}}, '{"a": 1, "b": 2}', '{"a": 1}'),
    "not": ({"type": "integer", "not": {"const": 3}}, "4", "3"),
    "if": ({"type": "integer", "if": {"const": 3}, "then": {"const": 4}}, "5", "3"),
    "required in anyOf": (TWO | {"anyOf": [{"required": ["a"]}]}, '{"a": 1}', "{}"),
    "integer": ({"type": "integer"}, "1.0", "1.5"),
}
END = 256
tokens = [bytes([byte]) for byte in range(END)] + [b"</s>"]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(tokens, stop_token_ids=[END]))
letters = llguidance.LLTokenizer("byte")


def by_xgrammar(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(schema))
    return matcher.accept_string(text) and matcher.accept_token(END)


def by_llguidance(schema, text):
    matcher = llguidance.LLMatcher(letters, llguidance.LLMatcher.grammar_from_json_schema(schema))
    if matcher.is_error():
        raise ValueError
    return all(matcher.consume_token(token) for token in letters.tokenize_str(text)) and matcher.is_accepting()


def by_outlines(schema, text):
    return bool(re.fullmatch(build_regex_from_schema(schema), text))


NAMES = {(True, False): "kept", (True, True): "dropped", (False, False): "too strict"}
for keyword, (schema, valid, invalid) in CASES.items():
    found = []
    for by in (by_xgrammar, by_outlines, by_llguidance):
        try:
            found.append(NAMES[by(json.dumps(schema), valid), by(json.dumps(schema), invalid)])
        except (ValueError, TypeError):
            found.append("refused")
    print(f"{keyword}: xgrammar {found[0]}, outlines-core {found[1]}, llguidance {found[2]}")
PY
expect <<'SEEN'
minimum: xgrammar kept, outlines-core dropped, llguidance kept
maxItems: xgrammar kept, outlines-core kept, llguidance kept
uniqueItems: xgrammar dropped, outlines-core dropped, llguidance refused
contains: xgrammar dropped, outlines-core dropped, llguidance refused
dependentRequired: xgrammar dropped, outlines-core dropped, llguidance refused
not: xgrammar dropped, outlines-core dropped, llguidance refused
if: xgrammar dropped, outlines-core dropped, llguidance refused
required in anyOf: xgrammar dropped, outlines-core dropped, llguidance kept
integer: xgrammar too strict, outlines-core too strict, llguidance too strict
SEEN
