"""None of Transformers' samplers runs beside the processor, even if a model's file sets all."""

import pytest
import torch
from transformers import GenerationMixin, LlamaConfig, LlamaForCausalLM

from temperament import transformers as adapter
from tests import rows

ASKED = {
    "temperature": 0.5,
    "top_k": 5,
    "top_p": 0.5,
    "min_p": 0.5,
    "top_h": 0.5,
    "typical_p": 0.5,
    "epsilon_cutoff": 0.5,
    "eta_cutoff": 0.5,
    "repetition_penalty": 2.0,
    "remove_invalid_values": True,
    "renormalize_logits": True,
}


def test_only_the_processor_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`generate` builds only the processor; without us it builds one for each field of the file."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
    )
    for name, value in ASKED.items():
        setattr(model.generation_config, name, value)
    built: list[list[str]] = []
    build = GenerationMixin._get_logits_processor

    def spy(*args: object, **kwargs: object) -> object:
        processors = build(*args, **kwargs)
        built.append([type(processor).__name__ for processor in processors])
        return processors

    monkeypatch.setattr(GenerationMixin, "_get_logits_processor", spy)
    ids = torch.tensor([[1, 2, 3]])
    model.generate(ids, max_new_tokens=1, do_sample=True, pad_token_id=0)
    kwargs = adapter.generate_kwargs({"tfs": 0.9}, catalogue=rows.NOTHING)
    model.generate(ids, max_new_tokens=1, pad_token_id=0, **kwargs)

    assert len(built[0]) == len(ASKED)
    assert ["PresetLogitsProcessor"] == built[1]
