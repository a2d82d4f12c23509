#!/usr/bin/env bash
# Guess: a message of the assistant that is to be continued ends the prompt as it was sent.
# Fact: from version 2 of the prompt's format on, the spaces at its end are removed; line ends stay.
#   So are those of earlier answers.
# Packages: mistral-common 1.13.1, sentencepiece 0.2.1.
# Why it matters: an answer that is prefilled with code and its next line's indentation goes on
#   without the indentation, and the model has to guess how deep it was.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install mistral-common==1.13.1 sentencepiece==0.2.1
observe <<'PY'
from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

for version in ("v1", "v2", "v3", "v7"):
    tokenizer = getattr(MistralTokenizer, version)()
    for text in ("Sure: ", "```python\n", "if x:\n    "):
        seen = []
        for more in ([], [UserMessage(content="Go on")]):
            messages = [UserMessage(content="Code"), AssistantMessage(content=text, prefix=not more)]
            request = ChatCompletionRequest(messages=[*messages, *more])
            ids = tokenizer.encode_chat_completion(request).tokens
            prompt = tokenizer.decode(ids, special_token_policy=SpecialTokenPolicy.KEEP)
            seen.append(prompt.split("[/INST]")[1].split("</s>")[0].lstrip(" "))
        print(f"{version}: {text!r} to be continued: {seen[0]!r}; followed by a turn: {seen[1]!r}")
PY
expect <<'SEEN'
v1: 'Sure: ' to be continued: '▁Sure:▁'; followed by a turn: '▁Sure:▁'
v1: '```python\n' to be continued: '▁```python<0x0A>'; followed by a turn: '▁```python<0x0A>'
v1: 'if x:\n    ' to be continued: '▁if▁x:<0x0A>▁▁▁▁'; followed by a turn: '▁if▁x:<0x0A>▁▁▁▁'
v2: 'Sure: ' to be continued: '▁Sure:'; followed by a turn: '▁Sure:'
v2: '```python\n' to be continued: '▁```python<0x0A>'; followed by a turn: '▁```python<0x0A>'
v2: 'if x:\n    ' to be continued: '▁if▁x:<0x0A>'; followed by a turn: '▁if▁x:<0x0A>'
v3: 'Sure: ' to be continued: '▁Sure:'; followed by a turn: '▁Sure:'
v3: '```python\n' to be continued: '▁```python<0x0A>'; followed by a turn: '▁```python<0x0A>'
v3: 'if x:\n    ' to be continued: '▁if▁x:<0x0A>'; followed by a turn: '▁if▁x:<0x0A>'
v7: 'Sure: ' to be continued: '▁Sure:'; followed by a turn: '▁Sure:'
v7: '```python\n' to be continued: '▁```python<0x0A>'; followed by a turn: '▁```python<0x0A>'
v7: 'if x:\n    ' to be continued: '▁if▁x:<0x0A>'; followed by a turn: '▁if▁x:<0x0A>'
SEEN
