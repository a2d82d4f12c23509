"""Every generation parameter of the reference documents, and what each engine does with it.

The second document lists 67; they stand here in its order and with its defaults. For each engine a
`Route` says one of: it has a field for it, a stage of ours does it, it is set when the engine
starts, or it is refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from temperament.errors import EngineError, Problem, shown
from temperament.plan.targets import VLLM
from temperament.presets.generation_fields import SYNONYMS
from temperament.stages import STAGE_OF

How = Literal["native", "ours", "flag", "refused"]
Engine = Literal["transformers", "vllm", "server"]
ENGINES: tuple[Engine, ...] = ("transformers", "vllm", "server")


@dataclass(frozen=True, slots=True)
class Route:
    """What one engine does with one parameter.

    `where` is its field, our stage, or the flag; `reason` a sentence in English and Chinese, which
    a refusal always has.
    """

    how: How
    where: str = ""
    reason: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Reference:
    """One parameter of the reference documents: `name` there, `field` in a preset."""

    name: str
    section: str
    default: Any
    transformers: Route
    vllm: Route
    server: Route

    @property
    def field(self) -> str:
        """The name under which a preset keeps it."""
        return SYNONYMS.get(self.name, self.name)

    def route(self, engine: Engine) -> Route:
        """What `engine` does with it."""
        routes = {"transformers": self.transformers, "vllm": self.vllm, "server": self.server}
        return routes[engine]

    def is_neutral(self, value: Any) -> bool:
        """Whether `value` asks for nothing: not given, or what the documents have as default."""
        return value is None or value == self.default or value in ([], (), {}, "")


SECTIONS: Mapping[str, tuple[str, str]] = {
    "length": ("Length of the output", "输出长度"),
    "strategy": ("Strategy", "生成策略"),
    "cache": ("Cache", "缓存"),
    "logits": ("Logits", "输出 logits"),
    "outputs": ("Output variables", "输出变量"),
    "tokens": ("Special tokens", "特殊 token"),
    "encoder": ("Encoder-decoder models", "编码器-解码器模型"),
    "assisted": ("Assisted generation", "辅助生成"),
    "compilation": ("Performance and compilation", "性能与编译"),
    "wildcard": ("Wildcard", "通配符"),
}


def native(where: str, en: str = "", zh: str = "") -> Route:
    """The engine's own field."""
    return Route("native", where, (en, zh))


def ours(where: str, en: str = "", zh: str = "") -> Route:
    """A stage of ours."""
    return Route("ours", where, (en, zh))


def flag(where: str, en: str, zh: str) -> Route:
    """Set when the engine starts; a request or a preset can't."""
    return Route("flag", where, (en, zh))


def refused(en: str, zh: str) -> Route:
    """Not to be had."""
    return Route("refused", "", (en, zh))


_SEARCH = refused(
    "changes the search, not the distribution: use vLLM's beam search (LLM.beam_search, or"
    " use_beam_search in a request without a preset)",
    "改变的是搜索而非分布：请用 vLLM 的束搜索（LLM.beam_search，或不带预设的 use_beam_search）",
)
_BEAMS_ONLY = refused(
    "shapes beam search, which a sampling preset doesn't run on vLLM",
    "只影响束搜索，而采样预设在 vLLM 上不做束搜索",
)


def _on_hub(what: str, what_zh: str) -> Route:
    return refused(
        f"Transformers 5 keeps {what} as code on its Hub: call generate(custom_generate=...,"
        " trust_remote_code=True) yourself",
        f"Transformers 5 已把{what_zh}移到 Hub 上的代码：请自行调用"
        " generate(custom_generate=..., trust_remote_code=True)",
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
_ASSISTANT = (
    "set on the assistant model's generation_config, where alone Transformers reads it",
    "写入辅助模型的 generation_config：Transformers 只从那里读取",
)


def _flags(server: str, argument: str, en: str, zh: str) -> tuple[Route, Route]:
    """The same option, as an argument of `LLM` and as a flag of `vllm serve`."""
    return flag(argument, en, zh), flag(server, en, zh)


def _stage(name: str, section: str, default: Any) -> Reference:
    stage = STAGE_OF[name].name
    mine = ours(stage)
    vllm = mine
    if name in VLLM.fields:
        vllm = native(name, f"or our stage {stage}, where the chain's order or the value needs it",
                      f"或者在次序、取值需要时由我们的 {stage} 阶段完成")  # fmt: skip
    return Reference(name, section, default, mine, vllm, vllm)


def _both(
    name: str,
    section: str,
    default: Any,
    transformers: Route,
    vllm: Route,
    server: Route | None = None,
) -> Reference:
    return Reference(name, section, default, transformers, vllm, server or vllm)


REFERENCE: tuple[Reference, ...] = (
    _both(
        "max_length", "length", 20, native("max_length"),
        *_flags("--max-model-len", "LLM(max_model_len=...)",
                "bounds prompt and output together; max_tokens bounds one request's output",
                "限制提示与输出的总长；单个请求的输出长度用 max_tokens"),
    ),
    _both("max_new_tokens", "length", None, native("max_new_tokens"), native("max_tokens")),
    _both(
        "min_length", "length", 0, native("min_length"),
        refused("counts the prompt's tokens too, which vLLM doesn't: use min_new_tokens",
                "把提示的 token 也计算在内，vLLM 没有这种计法：请用 min_new_tokens"),
    ),
    _stage("min_new_tokens", "length", None),
    _both("early_stopping", "length", False, native("early_stopping"), _BEAMS_ONLY),
    _both(
        "max_time", "length", None, native("max_time"),
        refused("vLLM has no time limit for a request: end it from the client",
                "vLLM 没有单个请求的时限：请由客户端中止"),
    ),
    _both("stop_strings", "length", None, native("stop_strings"), native("stop")),
    _both(
        "do_sample", "strategy", False,
        native("do_sample", "false: greedy, or beam search with num_beams; nothing from temperature"
               " on acts then",
               "false：贪心或（配合 num_beams）束搜索；temperature 及其后的阶段不起作用"),
        ours("temperature", "false is temperature 0", "false 即 temperature 0"),
    ),
    _both("num_beams", "strategy", 1, native("num_beams"), _SEARCH),
    _both("num_beam_groups", "strategy", 1, _on_hub("group beam search", "分组束搜索"), _SEARCH),
    _both(
        "penalty_alpha", "strategy", None, _on_hub("contrastive search", "对比搜索"),
        refused("contrastive search compares hidden states, which a logits processor doesn't see",
                "对比搜索要比较隐藏状态，而 logits 处理器看不到"),
    ),
    _both(
        "dola_layers", "strategy", None, _on_hub("DoLa", "DoLa"),
        refused("DoLa needs the logits of earlier layers, which vLLM doesn't compute",
                "DoLa 需要较早层的 logits，而 vLLM 不计算"),
    ),
    _both("use_cache", "cache", True, native("use_cache"), _CACHE),
    _both("cache_implementation", "cache", None, native("cache_implementation"), _CACHE),
    _both(
        "cache_config", "cache", None,
        native("cache_config", "read with cache_implementation: quantized",
               "与 cache_implementation: quantized 一起使用"),
        *_flags("--kv-cache-dtype", "LLM(kv_cache_dtype=...)",
                "the cache's precision is fixed for all requests", "缓存精度对所有请求固定"),
    ),
    _both(
        "return_legacy_cache", "cache", True,
        refused("gone from Transformers 5: a cache is always returned as a Cache object",
                "Transformers 5 已删除：缓存总以 Cache 对象返回"),
        refused("vLLM returns no cache", "vLLM 不返回缓存"),
    ),
    _stage("temperature", "logits", 1.0),
    _stage("top_k", "logits", 50),
    _stage("top_p", "logits", 1.0),
    _stage("min_p", "logits", None),
    _stage("typical_p", "logits", 1.0),
    _stage("epsilon_cutoff", "logits", 0.0),
    _stage("eta_cutoff", "logits", 0.0),
    _both("diversity_penalty", "logits", 0.0, _on_hub("group beam search", "分组束搜索"),
          _BEAMS_ONLY),
    _stage("repetition_penalty", "logits", 1.0),
    _stage("encoder_repetition_penalty", "logits", 1.0),
    _both("length_penalty", "logits", 1.0,
          native("length_penalty", "read with num_beams", "与 num_beams 一起使用"), _BEAMS_ONLY),
    _stage("no_repeat_ngram_size", "logits", 0),
    _stage("bad_words_ids", "logits", None),
    _both(
        "force_words_ids", "logits", None, _on_hub("constrained beam search", "约束束搜索"),
        refused("is a constrained beam search: vLLM has structured outputs instead",
                "属于约束束搜索：vLLM 对应的是结构化输出"),
    ),
    _stage("renormalize_logits", "logits", False),
    _both(
        "constraints", "logits", None, _on_hub("constrained beam search", "约束束搜索"),
        refused("are Python objects of a constrained beam search: vLLM has structured outputs",
                "是约束束搜索的 Python 对象：vLLM 对应的是结构化输出"),
    ),
    _stage("forced_bos_token_id", "logits", None),
    _stage("forced_eos_token_id", "logits", None),
    _stage("remove_invalid_values", "logits", False),
    _stage("exponential_decay_length_penalty", "logits", None),
    _stage("suppress_tokens", "logits", None),
    _stage("begin_suppress_tokens", "logits", None),
    _both(
        "forced_decoder_ids", "logits", None,
        refused("gone from Transformers 5: put the tokens into decoder_input_ids",
                "Transformers 5 已删除：请把这些 token 放进 decoder_input_ids"),
        refused("the tokens can stand at the end of the prompt", "可把这些 token 放在提示末尾"),
    ),
    _stage("sequence_bias", "logits", None),
    _both(
        "token_healing", "logits", False, native("token_healing"),
        refused("changes the prompt's last tokens, which a logits processor can't",
                "会改动提示末尾的 token，logits 处理器做不到"),
    ),
    _both(
        "guidance_scale", "logits", None, native("guidance_scale"),
        refused("needs a second forward pass that a logits processor in vLLM can't make",
                "需要第二次前向计算，vLLM 的 logits 处理器做不到"),
    ),
    _both(
        "low_memory", "logits", None,
        refused("Transformers 5 refuses it: its beam search has no sequential form any more",
                "Transformers 5 会拒绝：它的束搜索不再有顺序执行的形式"),
        _BEAMS_ONLY,
    ),
    _both(
        "watermarking_config", "logits", None, native("watermarking_config"),
        *_flags("--watermark-config", "LLM(watermark_config=...)",
                "vLLM's watermark is one for the engine, on its V2 runner",
                "vLLM 的水印对整个引擎统一设置，只用于 V2 运行器"),
    ),
    _both("num_return_sequences", "outputs", 1, native("num_return_sequences"), native("n")),
    _both("output_attentions", "outputs", False, native("output_attentions"), _OUTPUT),
    _both("output_hidden_states", "outputs", False, native("output_hidden_states"), _OUTPUT),
    _both(
        "output_scores", "outputs", False, native("output_scores"),
        *_flags("--logprobs-mode processed_logits", 'LLM(logprobs_mode="processed_logits")',
                "then each request's own logprobs gives them", "之后由各请求自己的 logprobs 给出"),
    ),
    _both(
        "output_logits", "outputs", None, native("output_logits"),
        *_flags("--logprobs-mode raw_logits", 'LLM(logprobs_mode="raw_logits")',
                "then each request's own logprobs gives them", "之后由各请求自己的 logprobs 给出"),
    ),
    _both(
        "return_dict_in_generate", "outputs", False, native("return_dict_in_generate"),
        refused("vLLM's answers are objects anyway", "vLLM 的结果本来就是对象"),
    ),
    _both("pad_token_id", "tokens", None, native("pad_token_id"), _TOKENIZER),
    _both("bos_token_id", "tokens", None,
          native("bos_token_id", "begins a text without a prompt", "没有提示时作为文本开头"),
          _TOKENIZER),
    _both("eos_token_id", "tokens", None, native("eos_token_id"),
          native("stop_token_ids", "with ignore_eos, so that these ids alone end the text",
                 "并设置 ignore_eos，使文本只以这些 id 结束")),
    _stage("encoder_no_repeat_ngram_size", "encoder", 0),
    _both(
        "decoder_start_token_id", "encoder", None, native("decoder_start_token_id"),
        refused("vLLM's encoder-decoder prompts name the decoder's tokens themselves",
                "vLLM 的编码器-解码器提示自行给出解码器的 token"),
    ),
    _both(
        "is_assistant", "assisted", False,
        native("is_assistant", "ends where its confidence falls below the threshold; needs"
               " output_scores and return_dict_in_generate",
               "置信度低于阈值即停止；需要 output_scores 与 return_dict_in_generate"),
        _DRAFTS,
    ),
    _both(
        "num_assistant_tokens", "assisted", 20, native("num_assistant_tokens", *_ASSISTANT),
        *_flags("--speculative-config num_speculative_tokens",
                "LLM(speculative_config={num_speculative_tokens: ...})",
                "drafting is set up when the engine starts", "草稿方式在引擎启动时设定"),
    ),
    _both("num_assistant_tokens_schedule", "assisted", "constant",
          native("num_assistant_tokens_schedule", *_ASSISTANT), _DRAFTS),
    _both("assistant_confidence_threshold", "assisted", 0.4,
          native("assistant_confidence_threshold", *_ASSISTANT), _DRAFTS),
    _both(
        "prompt_lookup_num_tokens", "assisted", None, native("prompt_lookup_num_tokens"),
        *_flags("--speculative-config method=ngram, num_speculative_tokens",
                "LLM(speculative_config={method: ngram, num_speculative_tokens: ...})",
                "drafting is set up when the engine starts", "草稿方式在引擎启动时设定"),
    ),
    _both(
        "max_matching_ngram_size", "assisted", None, native("max_matching_ngram_size"),
        *_flags("--speculative-config prompt_lookup_max",
                "LLM(speculative_config={prompt_lookup_max: ...})",
                "drafting is set up when the engine starts", "草稿方式在引擎启动时设定"),
    ),
    _both("assistant_early_exit", "assisted", None, native("assistant_early_exit"), _DRAFTS),
    _both("assistant_lookbehind", "assisted", 10,
          native("assistant_lookbehind", *_ASSISTANT), _DRAFTS),
    _both("target_lookbehind", "assisted", 10, native("target_lookbehind", *_ASSISTANT), _DRAFTS),
    _both(
        "compile_config", "compilation", None, native("compile_config"),
        *_flags("--compilation-config", "LLM(compilation_config=...)",
                "vLLM compiles when it starts", "vLLM 在启动时编译"),
    ),
    _both(
        "disable_compile", "compilation", False, native("disable_compile"),
        *_flags("--enforce-eager", "LLM(enforce_eager=True)",
                "vLLM compiles when it starts", "vLLM 在启动时编译"),
    ),
    _both(
        "generation_kwargs", "wildcard", None,
        native("**kwargs", "each of its entries is an argument of generate",
               "其中每一项都是 generate 的参数"),
        refused("are arguments of generate(); further fields of SamplingParams are arguments of"
                " sampling_params(...), or fields of the request",
                "是 generate() 的参数；SamplingParams 的其他字段请作为 sampling_params(...) 的参数"
                "或请求的字段"),
    ),
)  # fmt: skip

BY_FIELD: Mapping[str, Reference] = {reference.field: reference for reference in REFERENCE}
BY_NAME: Mapping[str, Reference] = {reference.name: reference for reference in REFERENCE}

# What Transformers reads from the assistant's generation_config alone.
ASSISTANT_FIELDS = tuple(
    reference.name for reference in REFERENCE if reference.transformers.reason == _ASSISTANT
)


def refusals(generation: Mapping[str, Any], engine: Engine, where: str) -> list[Problem]:
    """A problem for each field of `generation` that `engine` can't honour.

    A neutral value (what the documents have as default) asks for nothing and passes.
    """
    problems = []
    for name, value in generation.items():
        reference = BY_FIELD.get(name)
        if reference is None or reference.is_neutral(value):
            continue
        route = reference.route(engine)
        if route.how == "refused":
            problems.append(
                Problem(where, name, route.reason[0], shown(value), reason="unsupported")
            )
        elif route.how == "flag":
            message = f"is set when the engine starts, by {route.where}: {route.reason[0]}"
            problems.append(Problem(where, name, message, shown(value), reason="unsupported"))
    return problems


def refuse(presets: Iterable[Mapping[str, Any]], engine: Engine, where: str) -> None:
    """Raises `EngineError` with all that `engine` can't honour of these generation fields."""
    problems = [problem for preset in presets for problem in refusals(preset, engine, where)]
    if problems:
        raise EngineError(dict.fromkeys(problems))


def vllm_fields(generation: Mapping[str, Any]) -> dict[str, Any]:
    """What `generation` says, as fields of vLLM's `SamplingParams`."""
    fields: dict[str, Any] = {}
    for name, value in generation.items():
        match name:
            case "max_tokens" | "seed":
                fields[name] = value
            case "stop":
                fields["stop"] = list(value)
            case "num_return_sequences":
                fields["n"] = value
            case "eos_token_id":
                fields |= {"stop_token_ids": list(value), "ignore_eos": True}
    return fields
