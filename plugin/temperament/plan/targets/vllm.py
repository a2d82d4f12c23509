"""Describes vLLM: its order of sampling, the processor's place, its limits, each field's route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from temperament.plan.targets.target import Limit, Route, Target, flag, native, refused, residual

_SEARCH = refused(
    "changes the search, not the distribution: use vLLM's beam search (LLM.beam_search, or"
    " use_beam_search in a request without a preset)",
    "改变的是搜索而非分布：请用 vLLM 的束搜索（LLM.beam_search，或不带预设的 use_beam_search）",
)
_BEAMS_ONLY = refused(
    "shapes beam search, which a sampling preset doesn't run on vLLM",
    "只影响束搜索，而采样预设在 vLLM 上不做束搜索",
)
_CACHE = refused(
    "vLLM always decodes with its own paged cache",
    "vLLM 总是使用自己的分页缓存",
)
_OUTPUT = refused(
    "vLLM's answers don't carry it; a logits processor sees logits alone",
    "vLLM 的结果不含此项；logits 处理器只能看到 logits",
)
_DRAFTS = refused(
    "vLLM has no such rule for its draft tokens",
    "vLLM 的草稿 token 没有这条规则",
)
_TOKENIZER = refused(
    "vLLM takes it from the model's tokenizer and never pads",
    "vLLM 从模型的分词器取得它，并且从不填充",
)
_COMPILES = ("vLLM compiles when it starts", "vLLM 在启动时编译")
_DRAFTING = ("drafting is set up when the engine starts", "草稿方式在引擎启动时设定")
_LOGPROBS = ("then each request's own logprobs gives them", "之后由各请求自己的 logprobs 给出")

# Set when the engine starts: an argument of `LLM`, a flag of `vllm serve`, and why.
_FLAGS: Mapping[str, tuple[str, str, tuple[str, str]]] = {
    "max_length": (
        "LLM(max_model_len=...)",
        "--max-model-len",
        (
            "bounds prompt and output together; max_tokens bounds one request's output",
            "限制提示与输出的总长；单个请求的输出长度用 max_tokens",
        ),
    ),
    "cache_config": (
        "LLM(kv_cache_dtype=...)",
        "--kv-cache-dtype",
        ("the cache's precision is fixed for all requests", "缓存精度对所有请求固定"),
    ),
    "watermarking_config": (
        "LLM(watermark_config=...)",
        "--watermark-config",
        (
            "vLLM's watermark is one for the engine, on its V2 runner",
            "vLLM 的水印对整个引擎统一设置，只用于 V2 运行器",
        ),
    ),
    "output_scores": (
        'LLM(logprobs_mode="processed_logits")',
        "--logprobs-mode processed_logits",
        _LOGPROBS,
    ),
    "output_logits": ('LLM(logprobs_mode="raw_logits")', "--logprobs-mode raw_logits", _LOGPROBS),
    "num_assistant_tokens": (
        "LLM(speculative_config={num_speculative_tokens: ...})",
        "--speculative-config num_speculative_tokens",
        _DRAFTING,
    ),
    "prompt_lookup_num_tokens": (
        "LLM(speculative_config={method: ngram, num_speculative_tokens: ...})",
        "--speculative-config method=ngram, num_speculative_tokens",
        _DRAFTING,
    ),
    "max_matching_ngram_size": (
        "LLM(speculative_config={prompt_lookup_max: ...})",
        "--speculative-config prompt_lookup_max",
        _DRAFTING,
    ),
    "compile_config": ("LLM(compilation_config=...)", "--compilation-config", _COMPILES),
    "disable_compile": ("LLM(enforce_eager=True)", "--enforce-eager", _COMPILES),
}

_GENERATION: Mapping[str, Route] = {
    "max_tokens": native("max_tokens"),
    "stop": native("stop"),
    "seed": native("seed"),
    "num_return_sequences": native("n"),
    "eos_token_id": native(
        "stop_token_ids",
        "with ignore_eos, so that these ids alone end the text",
        "并设置 ignore_eos，使文本只以这些 id 结束",
        ignore_eos=True,
    ),
    "do_sample": residual("temperature", "false is temperature 0", "false 即 temperature 0"),
    **{name: flag(argument, *why) for name, (argument, _, why) in _FLAGS.items()},
    "min_length": refused(
        "counts the prompt's tokens too, which vLLM doesn't: use min_new_tokens",
        "把提示的 token 也计算在内，vLLM 没有这种计法：请用 min_new_tokens",
    ),
    "max_time": refused(
        "vLLM has no time limit for a request: end it from the client",
        "vLLM 没有单个请求的时限：请由客户端中止",
    ),
    "num_beams": _SEARCH,
    "num_beam_groups": _SEARCH,
    "early_stopping": _BEAMS_ONLY,
    "diversity_penalty": _BEAMS_ONLY,
    "length_penalty": _BEAMS_ONLY,
    "low_memory": _BEAMS_ONLY,
    "force_words_ids": refused(
        "is a constrained beam search: vLLM has structured outputs instead",
        "属于约束束搜索：vLLM 对应的是结构化输出",
    ),
    "constraints": refused(
        "are Python objects of a constrained beam search: vLLM has structured outputs",
        "是约束束搜索的 Python 对象：vLLM 对应的是结构化输出",
    ),
    "penalty_alpha": refused(
        "contrastive search compares hidden states, which a logits processor doesn't see",
        "对比搜索要比较隐藏状态，而 logits 处理器看不到",
    ),
    "dola_layers": refused(
        "DoLa needs the logits of earlier layers, which vLLM doesn't compute",
        "DoLa 需要较早层的 logits，而 vLLM 不计算",
    ),
    "use_cache": _CACHE,
    "cache_implementation": _CACHE,
    "return_legacy_cache": refused("vLLM returns no cache", "vLLM 不返回缓存"),
    "forced_decoder_ids": refused(
        "the tokens can stand at the end of the prompt", "可把这些 token 放在提示末尾"
    ),
    "token_healing": refused(
        "changes the prompt's last tokens, which a logits processor can't",
        "会改动提示末尾的 token，logits 处理器做不到",
    ),
    "guidance_scale": refused(
        "needs a second forward pass that a logits processor in vLLM can't make",
        "需要第二次前向计算，vLLM 的 logits 处理器做不到",
    ),
    "output_attentions": _OUTPUT,
    "output_hidden_states": _OUTPUT,
    "return_dict_in_generate": refused(
        "vLLM's answers are objects anyway", "vLLM 的结果本来就是对象"
    ),
    "pad_token_id": _TOKENIZER,
    "bos_token_id": _TOKENIZER,
    "decoder_start_token_id": refused(
        "vLLM's encoder-decoder prompts name the decoder's tokens themselves",
        "vLLM 的编码器-解码器提示自行给出解码器的 token",
    ),
    "is_assistant": _DRAFTS,
    "num_assistant_tokens_schedule": _DRAFTS,
    "assistant_confidence_threshold": _DRAFTS,
    "assistant_early_exit": _DRAFTS,
    "assistant_lookbehind": _DRAFTS,
    "target_lookbehind": _DRAFTS,
    "generation_kwargs": refused(
        "are arguments of generate(); further fields of SamplingParams are arguments of"
        " sampling_params(...), or fields of the request",
        "是 generate() 的参数；SamplingParams 的其他字段请作为 sampling_params(...) 的参数"
        "或请求的字段",
    ),
}

VLLM = Target(
    name="vllm",
    order=(
        "logit_bias",
        "repetition_penalty",
        "frequency_penalty",
        "presence_penalty",
        "temperature",
        "min_p",
        "top_k",
        "top_p",
    ),
    # The processor runs after temperature in the V1 runner, before temperature in V2. With the
    # engine's temperature at 1 both are the same: after biases and penalties.
    before=("logit_bias", "repetition_penalty", "frequency_penalty", "presence_penalty"),
    fields={
        "logit_bias": None,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "temperature": 1.0,
        "min_p": 0.0,
        "top_k": 0,
        "top_p": 1.0,
    },
    has=frozenset(
        {
            "allowed_token_ids",
            "frequency_penalty",
            "logit_bias",
            "min_new_tokens",
            "min_p",
            "presence_penalty",
            "repetition_penalty",
            "temperature",
            "top_k",
            "top_p",
        }
    ),
    limits={
        "temperature": (
            Limit(lambda v: 0 < v["temperature"] < 0.01, "vLLM lifts (0, 0.01) to 0.01"),
            Limit(lambda v: v["temperature"] > 2, "vLLM refuses a temperature above 2"),
        ),
        "repetition_penalty": (
            Limit(lambda v: v["repetition_range"] > 0, "vLLM has no range of tokens"),
        ),
        "top_p": (Limit(lambda v: v["top_p"] == 0, "vLLM refuses a top_p of 0"),),
        "logit_bias": (
            Limit(
                lambda v: any(abs(bias) > 100 for _, bias in v["logit_bias"]),
                "vLLM cuts biases to [-100, 100]",
            ),
        ),
    },
    # On the CPU vLLM sorts the vocabulary for a top_p, and counts tokens in a [rows, vocab]
    # table for a penalty: docs/benchmarks.md. On a GPU its fused kernels stay.
    slow={
        "cpu": frozenset(
            {"top_k", "top_p", "repetition_penalty", "frequency_penalty", "presence_penalty"}
        )
    },
    generation=_GENERATION,
)

# The same engine in `vllm serve`, where flags are set on the command line.
VLLM_SERVER = replace(
    VLLM,
    generation={
        **_GENERATION,
        **{name: flag(argument, *why) for name, (_, argument, why) in _FLAGS.items()},
    },
)

# /v1/messages carries three sampling fields; vLLM would silently drop the others.
VLLM_MESSAGES = replace(
    VLLM_SERVER,
    name="vllm /v1/messages",
    order=("temperature", "top_k", "top_p"),
    before=(),
    fields={"temperature": 1.0, "top_k": 0, "top_p": 1.0},
)
