"""vLLM's V1 engine without plugins, on SmolLM2, with what its server reads of an exported body.

The engine tells the logits after its samplers. A request draws `STEPS` tokens, so that penalties
have some to count, and the last step is compared. Its logits before the samplers are those of a
request without samplers, whose prompt ends where that step begins.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scripts.lib.fetch_model import fetch
from scripts.lib.programs.stages import VOCABULARY, Program, exported
from transformers import AutoTokenizer

from temperament import process
from temperament.stages import PARAMETERS

ENVIRONMENT = {
    "VLLM_PLUGINS": "",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}
PROMPT = "The cat and the dog and the cat and the dog and the"
STEPS = 9
OFF = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}
SEED = 1


class Engine:
    """The engine, whose answers are tokens and the last step's logits."""

    def __init__(self) -> None:
        os.environ.update(ENVIRONMENT)
        from vllm import LLM

        self._llm = LLM(
            str(fetch("smollm2")), dtype="float32", enforce_eager=True, max_model_len=64,
            logprobs_mode="processed_logits", max_logprobs=-1, enable_prefix_caching=False,
        )  # fmt: skip

    def step(
        self, fields: Mapping[str, Any], prompt: Sequence[int], tokens: int
    ) -> tuple[list[int], torch.Tensor]:
        """The tokens that a request draws, and the logits `[vocab]` from which the last came."""
        from vllm import TokensPrompt
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        fixed = {"ignore_eos": True, "seed": SEED, "max_tokens": tokens}
        messages = [{"role": "user", "content": "x"}]
        request = ChatCompletionRequest(model="m", messages=messages, **{**fields, **fixed})
        params = request.to_sampling_params(tokens, {})
        params.logprobs, params.detokenize = -1, False
        asked = TokensPrompt(prompt_token_ids=list(prompt))
        [output] = self._llm.generate(asked, params, use_tqdm=False)
        [sample] = output.outputs
        assert sample.logprobs is not None
        logits = torch.full((VOCABULARY,), float("-inf"))
        for token, seen in sample.logprobs[-1].items():
            logits[token] = seen.logprob
        return list(sample.token_ids), logits


def known() -> frozenset[str]:
    """The fields that vLLM's server reads; it ignores all others."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    return frozenset(ChatCompletionRequest.model_fields)


def vllm() -> Program:
    """Exported bodies in vLLM without Temperament."""
    engine = Engine()
    tokenizer = AutoTokenizer.from_pretrained(fetch("smollm2"))
    prompt = tokenizer.encode(PROMPT)
    results: dict[str, Any] = {}
    for stage, preset, file in exported("vllm-extra-body"):
        fields = json.loads(file.text) if not file.lacking else {}
        if file.lacking or any(note.name == "order" for note in file.notes):
            results[stage] = file.lacking or "order"
            continue
        if any(name not in known() and fields[name] != PARAMETERS[name].unset for name in fields):
            results[stage] = "lost"
            continue
        tokens, theirs = engine.step(fields, prompt, STEPS)
        _, logits = engine.step(OFF, [*prompt, *tokens[:-1]], 1)
        ours = process(
            logits[None], preset, prompt_ids=[prompt], output_ids=[tokens[:-1]], seeds=[SEED],
            tokenizer=tokenizer,
        )  # fmt: skip
        results[stage] = float((theirs.softmax(-1) - ours[0].softmax(-1)).abs().max())
    from vllm import __version__

    return Program(__version__, results)
