"""Describes Transformers: which stages it has, its sampling fields, and each field's route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from temperament.plan.targets.target import Route, Target, flag, native, refused

# Transformers reads these from the assistant model's generation_config, and nowhere else.
ASSISTANT_FIELDS = (
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "target_lookbehind",
)

# Fields that `generate` takes by the same name.
_SAME = (
    "max_length",
    "min_length",
    "early_stopping",
    "max_time",
    "num_beams",
    "use_cache",
    "cache_implementation",
    "token_healing",
    "guidance_scale",
    "watermarking_config",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "prompt_lookup_num_tokens",
    "max_matching_ngram_size",
    "assistant_early_exit",
    "compile_config",
    "disable_compile",
)


def _on_hub(what: str, what_zh: str) -> Route:
    return refused(
        f"Transformers 5 keeps {what} as code on its Hub: call generate(custom_generate=...,"
        " trust_remote_code=True) yourself",
        f"Transformers 5 已把{what_zh}移到 Hub 上的代码：请自行调用"
        " generate(custom_generate=..., trust_remote_code=True)",
    )


_GENERATION: Mapping[str, Route] = {
    **{name: native(name) for name in _SAME},
    "max_tokens": native("max_new_tokens"),
    "stop": native("stop_strings"),
    "seed": native(
        "seed",
        "with reproducible; else call torch.manual_seed before generate",
        "与 reproducible 一起使用；否则请在 generate 之前调用 torch.manual_seed",
    ),
    "do_sample": native(
        "do_sample",
        "false: greedy, or beam search with num_beams; nothing from temperature on acts then",
        "false：贪心或（配合 num_beams）束搜索；temperature 及其后的阶段不起作用",
    ),
    "length_penalty": native("length_penalty", "read with num_beams", "与 num_beams 一起使用"),
    "cache_config": native(
        "cache_config",
        "read with cache_implementation: quantized",
        "与 cache_implementation: quantized 一起使用",
    ),
    "bos_token_id": native(
        "bos_token_id", "begins a text without a prompt", "没有提示时作为文本开头"
    ),
    "is_assistant": native(
        "is_assistant",
        "ends where its confidence falls below the threshold; needs output_scores and"
        " return_dict_in_generate",
        "置信度低于阈值即停止；需要 output_scores 与 return_dict_in_generate",
    ),
    **{
        name: native(
            name,
            "set on the assistant model's generation_config, where alone Transformers reads it",
            "写入辅助模型的 generation_config：Transformers 只从那里读取",
        )
        for name in ASSISTANT_FIELDS
    },
    "generation_kwargs": native(
        "**kwargs",
        "each of its entries is an argument of generate",
        "其中每一项都是 generate 的参数",
    ),
    "num_beam_groups": _on_hub("group beam search", "分组束搜索"),
    "diversity_penalty": _on_hub("group beam search", "分组束搜索"),
    "penalty_alpha": _on_hub("contrastive search", "对比搜索"),
    "dola_layers": _on_hub("DoLa", "DoLa"),
    "force_words_ids": _on_hub("constrained beam search", "约束束搜索"),
    "constraints": _on_hub("constrained beam search", "约束束搜索"),
    "return_legacy_cache": refused(
        "gone from Transformers 5: a cache is always returned as a Cache object",
        "Transformers 5 已删除：缓存总以 Cache 对象返回",
    ),
    "forced_decoder_ids": refused(
        "gone from Transformers 5: put the tokens into decoder_input_ids",
        "Transformers 5 已删除：请把这些 token 放进 decoder_input_ids",
    ),
    "low_memory": refused(
        "Transformers 5 refuses it: its beam search has no sequential form any more",
        "Transformers 5 会拒绝：它的束搜索不再有顺序执行的形式",
    ),
}

# The user's processors run before Transformers' own warpers, which are then all switched off.
TRANSFORMERS = Target(
    name="transformers",
    order=(),
    before=(),
    has=frozenset(
        {
            "bad_words_ids",
            "begin_suppress_tokens",
            "encoder_no_repeat_ngram_size",
            "encoder_repetition_penalty",
            "epsilon_cutoff",
            "eta_cutoff",
            "exponential_decay_length_penalty",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "min_new_tokens",
            "min_p",
            "no_repeat_ngram_size",
            "remove_invalid_values",
            "renormalize_logits",
            "repetition_penalty",
            "sequence_bias",
            "suppress_tokens",
            "temperature",
            "top_h",
            "top_k",
            "top_p",
            "typical_p",
        }
    ),
    fields={
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": None,
        "top_h": None,
        "typical_p": 1.0,
        "epsilon_cutoff": 0.0,
        "eta_cutoff": 0.0,
        "repetition_penalty": 1.0,
        "remove_invalid_values": False,
        "renormalize_logits": False,
    },
    generation=_GENERATION,
)

_NOT_HERE = refused(
    "Transformers' continuous batching has no such setting for one request: call model.generate",
    "Transformers 的连续批处理没有针对单个请求的这一设置：请改用 model.generate",
)

# A request in a manager of continuous batching: `temperament.transformers.attach`.
TRANSFORMERS_BATCHING = replace(
    TRANSFORMERS,
    generation={
        **dict.fromkeys(_GENERATION, _NOT_HERE),
        "max_tokens": native("max_new_tokens"),
        "eos_token_id": native("eos_token_id"),
        "do_sample": native("do_sample"),
        "seed": native("seed", "with reproducible", "与 reproducible 一起使用"),
        "stop": refused(
            "Transformers' continuous batching ends a request at token ids alone: name them in"
            " eos_token_id",
            "Transformers 的连续批处理只按 token ID 结束请求：请写在 eos_token_id 中",
        ),
        "num_return_sequences": flag(
            "GenerationConfig(num_return_sequences=...) of the manager",
            "all requests of a manager have as many samples",
            "同一管理器的所有请求样本数相同",
        ),
    },
)
