"""ExLlamaV3: the Python of a `CustomSampler`, a list of samplers in the order in which they run.

The text is an expression: what is read again is its list, without running it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.format import CantSayError, Format, Note, Reading, Writing, wrong
from temperament.presets import Preset

TITLE = "ExLlamaV3"
_TOP_P = "ExLlamaV3 removes the token that crosses the mass; Temperament keeps it"
_XTC = "ExLlamaV3 mixes both outcomes at every step; Temperament draws one of them"
_PROMPT = "ExLlamaV3 counts the prompt's tokens too"
_ADAPTIVE = "ExLlamaV3 centres its average on the target at the beginning"
ALL = 10**8  # its range of all tokens
# sampler -> (the fields that its arguments are, our stage where `order` can place it)
_SAMPLERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "SS_LogitBias": (("logit_bias",), ""),
    "SS_RepP": (("rep_p", "rep_range"), ""),
    "SS_PresFreqP": (("pres_p", "freq_p"), ""),
    "SS_BanTokens": (("token_ids",), ""),
    "SS_Temperature": (("temperature",), "temperature"),
    "SS_TopK": (("top_k",), "top_k"),
    "SS_TopP": (("top_p",), "top_p"),
    "SS_MinP": (("min_p",), "min_p"),
    "SS_XTC": (("xtc_probability", "xtc_threshold"), "xtc"),
    "SS_AdaptiveP": (("adaptive_target", "adaptive_decay"), ""),
    "SS_Sample": ((), ""),
    "SS_Argmax": ((), ""),
}
_NEUTRAL = {"rep_p": 1.0, "rep_range": ALL, "pres_p": 0.0, "freq_p": 0.0, "xtc_threshold": 0.1}
_NEUTRAL["adaptive_decay"] = 0.9


def _target(value: float) -> float:
    if value >= 1:
        raise CantSayError("a target of 1 is off in ExLlamaV3")
    return value


def _order(fields: Mapping[str, Any]) -> list[str]:
    return [stage for stage in fields.get("order", ()) if stage]


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    theirs = {stage for _, stage in _SAMPLERS.values()}
    writing.fields["order"] = [stage for stage in stages if stage in theirs]


DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_k": Field("top_k"),
        "top_p": Field("top_p", remark=_TOP_P),
        "min_p": Field("min_p"),
        "xtc_probability": Field("xtc_probability", remark=_XTC),
        "xtc_threshold": Field("xtc_threshold"),
        "rep_p": Field("repetition_penalty"),
        "rep_range": Field(
            "repetition_range", lambda tokens: 0 if tokens >= ALL else tokens, lambda n: n or ALL
        ),
        "pres_p": Field("presence_penalty", remark=_PROMPT),
        "freq_p": Field("frequency_penalty", remark=_PROMPT),
        "token_ids": Field("suppress_tokens"),
        "logit_bias": Field("logit_bias", to_program=dict),
        "adaptive_target": Field("adaptive_target", to_program=_target, remark=_ADAPTIVE),
        "adaptive_decay": Field("adaptive_decay"),
    },
    order=_order,
    put_order=_put_order,
    fixed={"xtc_protect_structure": True, "xtc_protected": ()},
    not_sampling={"order": READ_BY_ORDER},
)


def _read(text: str, section: str) -> Reading:
    fields: dict[str, Any] = {"order": []}
    for name, values in _samplers(text):
        names, stage = _SAMPLERS[name]
        fields["order"].append(stage)
        fields.update(zip(names, values, strict=False))
        if name == "SS_Argmax":
            fields["temperature"] = 0.0
            fields["order"].append("temperature")
    return read(DIALECT, fields)


def _samplers(text: str) -> list[tuple[str, list[Any]]]:
    """The samplers of a `CustomSampler([...])`, each with its arguments. Raises `PresetError`."""
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong(TITLE, "not a Python expression") from None
    match expression:
        case ast.Call(func=ast.Name(id="CustomSampler"), args=[ast.List(elts=calls)]):
            return [_sampler(call) for call in calls]
    raise wrong(TITLE, "not a CustomSampler([...])")


def _sampler(call: ast.expr) -> tuple[str, list[Any]]:
    match call:
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in _SAMPLERS:
            try:
                return name, [ast.literal_eval(argument) for argument in arguments]
            except (ValueError, TypeError, SyntaxError):
                pass
    raise wrong(TITLE, "not one of its samplers", ast.unparse(call), ", ".join(_SAMPLERS))


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    fields = dict(writing.fields)
    order = fields.pop("order", [])
    greedy = fields.get("temperature") == 0
    parts = []
    for name, (names, stage) in _SAMPLERS.items():
        if not stage and names and any(field in fields for field in names):
            parts.append(_call(name, names, fields))
    last = [parts.pop()] if parts and parts[-1].startswith("SS_AdaptiveP") else []
    by_stage = {stage: (name, names) for name, (names, stage) in _SAMPLERS.items()}
    for stage in order if not greedy else ():
        name, names = by_stage[stage]
        parts.append(_call(name, names, fields, "tokenizer=tokenizer" if stage == "xtc" else ""))
    parts += last or ["SS_Argmax()" if greedy else "SS_Sample()"]
    return f"CustomSampler([{', '.join(parts)}])", writing.notes


def _call(name: str, names: tuple[str, ...], fields: Mapping[str, Any], more: str = "") -> str:
    values = [fields.get(field, _NEUTRAL.get(field)) for field in names]
    return f"{name}({', '.join([*map(repr, values), *([more] if more else [])])})"


FORMATS = (
    Format(
        "exllamav3",
        "ExLlamaV3 CustomSampler (Python)",
        _read,
        _write,
        lambda name, text: text.lstrip().startswith("CustomSampler("),
        version="1.4.1",
    ),
)
