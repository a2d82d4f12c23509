"""Transformers' own logits processors, from `generation_config.json`."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
from scripts.lib.programs.stages import VOCABULARY, Program, drawn_logits, measured


def transformers() -> Program:
    """Transformers' own logits processors, from `generation_config.json`."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessorList

    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **shape, **heads))
    logits, tokens = drawn_logits()

    def drawn(text: str) -> torch.Tensor:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "generation_config.json").write_text(text, encoding="utf-8")
            config = GenerationConfig.from_pretrained(folder)
        model._prepare_special_tokens(config, device="cpu")
        ids = torch.tensor([tokens])
        chain = model._get_logits_processor(
            generation_config=config, input_ids_seq_length=len(tokens), encoder_input_ids=ids,
            logits_processor=LogitsProcessorList(), device="cpu", model_kwargs={},
        )  # fmt: skip
        return torch.as_tensor(chain(ids, logits[None].clone()))[0].softmax(-1)

    return Program(version("transformers"), measured("transformers", drawn, logits, tokens))
