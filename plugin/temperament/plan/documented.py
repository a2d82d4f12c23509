"""The 67 generation parameters of the reference documents, and what an engine can't honour.

They are in the order of the second document, with its defaults. What an engine does with one is
in the engine's description: `plan.targets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from temperament.errors import EngineError, Problem, shown
from temperament.plan.targets import Target
from temperament.presets.generation_fields import SYNONYMS


@dataclass(frozen=True, slots=True)
class Documented:
    """One parameter of the reference documents: its name, section and default there."""

    name: str
    section: str
    default: Any

    @property
    def field(self) -> str:
        """The name under which a preset keeps it."""
        return SYNONYMS.get(self.name, self.name)

    def is_neutral(self, value: Any) -> bool:
        """Whether `value` changes nothing: None, the documents' default, or empty."""
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


DOCUMENTED: tuple[Documented, ...] = (
    Documented("max_length", "length", 20),
    Documented("max_new_tokens", "length", None),
    Documented("min_length", "length", 0),
    Documented("min_new_tokens", "length", None),
    Documented("early_stopping", "length", False),
    Documented("max_time", "length", None),
    Documented("stop_strings", "length", None),
    Documented("do_sample", "strategy", False),
    Documented("num_beams", "strategy", 1),
    Documented("num_beam_groups", "strategy", 1),
    Documented("penalty_alpha", "strategy", None),
    Documented("dola_layers", "strategy", None),
    Documented("use_cache", "cache", True),
    Documented("cache_implementation", "cache", None),
    Documented("cache_config", "cache", None),
    Documented("return_legacy_cache", "cache", True),
    Documented("temperature", "logits", 1.0),
    Documented("top_k", "logits", 50),
    Documented("top_p", "logits", 1.0),
    Documented("min_p", "logits", None),
    Documented("typical_p", "logits", 1.0),
    Documented("epsilon_cutoff", "logits", 0.0),
    Documented("eta_cutoff", "logits", 0.0),
    Documented("diversity_penalty", "logits", 0.0),
    Documented("repetition_penalty", "logits", 1.0),
    Documented("encoder_repetition_penalty", "logits", 1.0),
    Documented("length_penalty", "logits", 1.0),
    Documented("no_repeat_ngram_size", "logits", 0),
    Documented("bad_words_ids", "logits", None),
    Documented("force_words_ids", "logits", None),
    Documented("renormalize_logits", "logits", False),
    Documented("constraints", "logits", None),
    Documented("forced_bos_token_id", "logits", None),
    Documented("forced_eos_token_id", "logits", None),
    Documented("remove_invalid_values", "logits", False),
    Documented("exponential_decay_length_penalty", "logits", None),
    Documented("suppress_tokens", "logits", None),
    Documented("begin_suppress_tokens", "logits", None),
    Documented("forced_decoder_ids", "logits", None),
    Documented("sequence_bias", "logits", None),
    Documented("token_healing", "logits", False),
    Documented("guidance_scale", "logits", None),
    Documented("low_memory", "logits", None),
    Documented("watermarking_config", "logits", None),
    Documented("num_return_sequences", "outputs", 1),
    Documented("output_attentions", "outputs", False),
    Documented("output_hidden_states", "outputs", False),
    Documented("output_scores", "outputs", False),
    Documented("output_logits", "outputs", None),
    Documented("return_dict_in_generate", "outputs", False),
    Documented("pad_token_id", "tokens", None),
    Documented("bos_token_id", "tokens", None),
    Documented("eos_token_id", "tokens", None),
    Documented("encoder_no_repeat_ngram_size", "encoder", 0),
    Documented("decoder_start_token_id", "encoder", None),
    Documented("is_assistant", "assisted", False),
    Documented("num_assistant_tokens", "assisted", 20),
    Documented("num_assistant_tokens_schedule", "assisted", "constant"),
    Documented("assistant_confidence_threshold", "assisted", 0.4),
    Documented("prompt_lookup_num_tokens", "assisted", None),
    Documented("max_matching_ngram_size", "assisted", None),
    Documented("assistant_early_exit", "assisted", None),
    Documented("assistant_lookbehind", "assisted", 10),
    Documented("target_lookbehind", "assisted", 10),
    Documented("compile_config", "compilation", None),
    Documented("disable_compile", "compilation", False),
    Documented("generation_kwargs", "wildcard", None),
)

BY_FIELD: Mapping[str, Documented] = {each.field: each for each in DOCUMENTED}
BY_NAME: Mapping[str, Documented] = {each.name: each for each in DOCUMENTED}


def refusals(generation: Mapping[str, Any], target: Target, where: str) -> list[Problem]:
    """Returns a problem for each generation field that the engine can't honour.

    `where` names the source in the problems. A neutral value is no problem.
    """
    problems = []
    for name, value in generation.items():
        documented = BY_FIELD.get(name)
        if documented is None or documented.is_neutral(value):
            continue
        route = target.route(name)
        if route.how == "refused":
            problems.append(
                Problem(where, name, route.reason[0], shown(value), reason="unsupported")
            )
        elif route.how == "flag":
            message = f"is set when the engine starts, by {route.where}: {route.reason[0]}"
            problems.append(Problem(where, name, message, shown(value), reason="unsupported"))
    return problems


def refuse(presets: Iterable[Mapping[str, Any]], target: Target, where: str) -> None:
    """Raises `EngineError` with every generation field that the engine can't honour.

    `presets` are the generation fields of each preset of a call.
    """
    problems = [problem for preset in presets for problem in refusals(preset, target, where)]
    if problems:
        raise EngineError(dict.fromkeys(problems))
