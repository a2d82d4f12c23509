"""The ways into `generate` that docs/python.md lists, each with tiny random models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    WhisperConfig,
    WhisperForConditionalGeneration,
    pipeline,
)

from temperament import Catalogue
from temperament.engines.transformers import generate_kwargs
from tests.small_tokenizers import byte_level

NOTHING = Catalogue({})
END, NEW = 0, 10
# The tokens from here on are never drawn.
BANNED = list(range(100, 400))
PRESETS: list[Any] = [
    {"reproducible": True, "temperature": 1.4},
    {"reproducible": True, "suppress_tokens": BANNED},
]
PROMPT = torch.tensor([[11, 12, 13, 14]])


@pytest.fixture(scope="module")
def llama() -> Any:
    """A random decoder whose texts don't end."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=END, bos_token_id=1, eos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def texts(model: Any, preset: Any, seeds: list[int], **arguments: Any) -> list[list[int]]:
    """The new tokens of `generate` with a preset, and perhaps another way in than the ids."""
    kwargs = generate_kwargs(preset, model=model, seeds=seeds, catalogue=NOTHING)
    if "inputs_embeds" not in arguments:
        arguments = {"input_ids": PROMPT, **arguments}
    length = 0 if "inputs_embeds" in arguments else PROMPT.shape[1]
    done = model.generate(**{"max_new_tokens": NEW, **kwargs, **arguments})
    tokens: list[list[int]] = done[:, length:].tolist()
    return tokens


def test_a_pipeline(llama: Any) -> None:
    """A preset for each prompt, if they are one batch: the texts of `generate` alone."""
    tokenizer = byte_level()
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    prompts = ["the quick brown fox jumps", "the dog"]
    kwargs = generate_kwargs(PRESETS, tokenizer, model=llama, seeds=[1, 2], catalogue=NOTHING)
    generator: Any = pipeline("text-generation", model=llama, tokenizer=tokenizer)
    done = generator(
        prompts, batch_size=2, max_new_tokens=NEW, return_tensors=True,
        **kwargs,
    )  # fmt: skip
    for prompt, preset, seed, (output,) in zip(prompts, PRESETS, (1, 2), done, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        (alone,) = llama.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW,
            **generate_kwargs(preset, tokenizer, model=llama, seeds=[seed], catalogue=NOTHING),
        )

        assert alone[ids.shape[1] :].tolist() == output["generated_token_ids"][-NEW:]


def test_whisper() -> None:
    """A speech model draws under a preset: its bans hold, and a seed fixes its text."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=400, num_mel_bins=4, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_source_positions=8, max_target_positions=40, pad_token_id=END,
        bos_token_id=1, eos_token_id=END, decoder_start_token_id=2, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config.no_timestamps_token_id = 38
    model.generation_config.is_multilingual = False
    features = torch.randn(1, 4, 16)

    def text(preset: Any, seed: int) -> list[int]:
        kwargs = generate_kwargs(preset, model=model, seeds=[seed], catalogue=NOTHING)
        tokens: list[int] = model.generate(features, max_new_tokens=NEW, **kwargs)[0].tolist()
        return tokens

    plain = {"reproducible": True}
    assert text(plain, 1) == text(plain, 1) != text(plain, 2)
    drawn = {token for seed in range(4) for token in text(PRESETS[1], seed)}
    assert not drawn & set(BANNED)
    assert {token for seed in range(4) for token in text(plain, seed)} & set(BANNED)


def test_a_peft_model(llama: Any) -> None:
    """An adapter's `generate` passes everything on; one that changes nothing has the same text."""
    peft = pytest.importorskip("peft")
    kwargs = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
    expected = texts(llama, PRESETS[1], [3])
    adapted = peft.get_peft_model(llama, peft.LoraConfig(**kwargs))
    try:
        assert expected == texts(adapted, PRESETS[1], [3])
    finally:
        adapted.unload()


def test_inputs_embeds(llama: Any) -> None:
    """The text is that of the ids; stages that read the prompt say that they can't see it."""
    embeds = llama.get_input_embeddings()(PROMPT)
    arguments = {"inputs_embeds": embeds, "attention_mask": torch.ones_like(PROMPT)}
    for preset in PRESETS:
        assert texts(llama, preset, [4]) == texts(llama, preset, [4], **arguments)
    with pytest.warns(UserWarning, match="repetition_penalty: can't see a prompt in inputs_embeds"):
        texts(llama, {"repetition_penalty": 2.0, "reproducible": True}, [4], **arguments)


@pytest.mark.parametrize("by", ["preset", "argument"])
def test_a_static_cache(llama: Any, by: str) -> None:
    """A static cache, from the preset or from the call, changes no token."""
    static = {"cache_implementation": "static"}
    for preset in ({**PRESETS[0], "frequency_penalty": 1.0}, PRESETS[1]):
        expected = texts(llama, preset, [5])
        if by == "preset":
            assert expected == texts(llama, {**preset, **static}, [5])
        else:
            assert expected == texts(llama, preset, [5], **static)
