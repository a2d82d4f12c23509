"""ExLlamaV3: the Python of a `CustomSampler`, a list of samplers in the order in which they run.

The text is an expression: what is read again is its list, without running it.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from temperament.interchange.conversions import EXLLAMAV3_TOP_P, assume, at_least_0
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.format import CantSayError, Format, Note, Reading, Writing, wrong
from temperament.presets import Preset

TITLE = "ExLlamaV3"
_XTC = "ExLlamaV3 mixes both outcomes at every step; Temperament draws one of them"
_PROMPT = "ExLlamaV3 counts the prompt's tokens too"
_ADAPTIVE = "ExLlamaV3 centres its average on the target at the beginning"
_FADES = "Temperament's penalties don't fade out"
ALL = 10**8  # its range of all tokens
# sampler -> (its arguments, each with the field that it is; our stage where `order` can place it)
_SAMPLERS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "SS_LogitBias": ({"logit_bias": "logit_bias"}, ""),
    "SS_RepP": (
        {"rep_p": "rep_p", "sustain_range": "rep_range", "decay_range": "SS_RepP.decay_range"},
        "",
    ),
    "SS_PresFreqP": (
        {
            "pres_p": "pres_p",
            "freq_p": "freq_p",
            "sustain_range": "SS_PresFreqP.sustain_range",
            "decay_range": "SS_PresFreqP.decay_range",
        },
        "",
    ),
    "SS_BanTokens": ({"token_ids": "token_ids"}, ""),
    "SS_Temperature": ({"temperature": "temperature"}, "temperature"),
    "SS_TopK": ({"top_k": "top_k"}, "top_k"),
    "SS_TopP": ({"top_p": "top_p"}, "top_p"),
    "SS_MinP": ({"min_p": "min_p"}, "min_p"),
    "SS_XTC": (
        {
            "probability": "xtc_probability",
            "threshold": "xtc_threshold",
            "protected_token_ids": "protected_token_ids",
            "tokenizer": "tokenizer",
        },
        "xtc",
    ),
    "SS_AdaptiveP": ({"target": "adaptive_target", "decay": "adaptive_decay"}, ""),
    "SS_Sample": ({}, ""),
    "SS_Sample_mn": ({}, ""),
    "SS_Argmax": ({}, ""),
    # which change no distribution
    "SS_Normalize": ({}, ""),
    "SS_Sort": ({}, ""),
    "SS_NoOp": ({}, ""),
}
# Those of them that change the distribution.
_ACTING = frozenset(name for name, (arguments, _) in _SAMPLERS.items() if arguments)
# What `export` writes of a sampler's arguments where the preset has no value.
_NEUTRAL = {"rep_p": 1.0, "rep_range": ALL, "pres_p": 0.0, "freq_p": 0.0, "xtc_threshold": 0.1}
_NEUTRAL["adaptive_decay"] = 0.9
_WINDOW = "SS_PresFreqP.sustain_range"
_RANGES = {
    "rep_range": ("rep_p", "SS_RepP.decay_range"),
    _WINDOW: ("pres_p", "freq_p", "SS_PresFreqP.decay_range"),
}


def _target(value: float) -> float:
    if value >= 1:
        raise CantSayError("a target of 1 is off in ExLlamaV3")
    return value


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    """Reads what is off there, and which tokens XTC leaves alone."""
    for window, names in _RANGES.items():
        if fields.get(window, ALL) <= 0:
            del fields[window]
            for name in names:
                value = fields.pop(name, None)
                if value is not None and value != _NEUTRAL.get(name, 0):
                    reading.note("lost", name, value, f"a {window} of 0 turns it off")
    window = fields.pop(_WINDOW, ALL)
    if window < ALL:
        reading.note("lost", _WINDOW, window, "Temperament counts the whole output")
    if fields.get("xtc_threshold", 0) > 0.5:
        for name in ("xtc_probability", "xtc_threshold"):
            message = "a threshold above 0.5 turns it off"
            reading.note("lost", name, fields.pop(name), message)
    if "adaptive_target" in fields:
        assume(fields, reading, "adaptive_decay", 0.0, TITLE)
    if fields.pop("tokenizer", None) is None or "protected_token_ids" in fields:
        fields["structure"] = False


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    """XTC leaves the tokens alone that it is given, or those of the tokenizer, not both."""
    protected = values.get("xtc_protected", ())
    if protected and values.get("xtc_protect_structure"):
        message = f"{TITLE} protects either these or what the tokenizer says"
        writing.note("lost", "xtc_protected", values.pop("xtc_protected"), message)


def _order(fields: Mapping[str, Any]) -> list[str]:
    return [stage for stage in fields.get("order", ()) if stage]


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    theirs = {stage for _, stage in _SAMPLERS.values()}
    writing.fields["order"] = [stage for stage in stages if stage in theirs]


DIALECT = Dialect(
    title=TITLE,
    fields={
        "temperature": Field("temperature"),
        "top_k": Field("top_k", at_least_0),
        "top_p": Field("top_p", remark=EXLLAMAV3_TOP_P),
        "min_p": Field("min_p"),
        "xtc_probability": Field("xtc_probability", remark=_XTC),
        "xtc_threshold": Field("xtc_threshold"),
        "protected_token_ids": Field("xtc_protected"),
        "structure": Field("xtc_protect_structure"),
        "rep_p": Field("repetition_penalty"),
        "rep_range": Field(
            "repetition_range", lambda tokens: 0 if tokens >= ALL else tokens, lambda n: n or ALL
        ),
        "pres_p": Field("presence_penalty", remark=_PROMPT),
        "freq_p": Field("frequency_penalty", remark=_PROMPT),
        "token_ids": Field("suppress_tokens"),
        "logit_bias": Field("logit_bias", to_program=dict),
        "adaptive_target": Field(
            "adaptive_target", lambda value: -1.0 if value >= 1 else value, _target, _ADAPTIVE
        ),
        "adaptive_decay": Field("adaptive_decay"),
    },
    order=_order,
    put_order=_put_order,
    unsupported={
        "SS_RepP.decay_range": 0,
        "SS_PresFreqP.decay_range": 0,
    },
    reasons={
        "SS_RepP.decay_range": _FADES,
        "SS_PresFreqP.decay_range": _FADES,
    },
    not_sampling={"order": READ_BY_ORDER},
    before_read=_before_read,
    before_write=_before_write,
)


def _read(text: str, section: str) -> Reading:
    fields: dict[str, Any] = {}
    order: list[str] = []
    again: list[tuple[str, Any]] = []
    samplers = _samplers(text)
    for sampler, values in samplers:
        again += [(name, value) for name, value in values.items() if name in fields]
        fields = {**values, **fields}
        stage = _SAMPLERS[sampler][1]
        if sampler == "SS_Argmax":
            fields["temperature"], stage = 0.0, "temperature"
            order = [each for each in order if each != stage]
        if stage not in order:
            order.append(stage)
    reading = read(DIALECT, {**fields, "order": order})
    for name, value in again:
        reading.note("lost", name, value, "a second one; Temperament runs each once")
    _note_order([sampler for sampler, _ in samplers], reading)
    return reading


def _note_order(names: list[str], reading: Reading) -> None:
    """Notes penalties, biases and bans that run after what they precede in a preset."""
    cuts = {"SS_TopK", "SS_TopP", "SS_MinP", "SS_XTC"}
    ranks = dict.fromkeys(_SAMPLERS, 4) | {"SS_LogitBias": 0, "SS_RepP": 1, "SS_PresFreqP": 2}
    for place, name in enumerate(names):
        before = names[:place]
        if name == "SS_BanTokens":
            late = bool(cuts.intersection(before))
        else:
            late = any(ranks[name] < ranks[each] for each in before if each in _ACTING)
        if late:
            reading.note("differs", "order", name, "Temperament runs it before the other samplers")


def _samplers(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The samplers of a `CustomSampler([...])`, each with its fields. Raises `PresetError`."""
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong(TITLE, "not a Python expression") from None
    match expression:
        case ast.Call(func=ast.Name(id="CustomSampler"), args=[ast.List(elts=calls)], keywords=[]):
            return [_sampler(call) for call in calls]
    raise wrong(TITLE, "not a CustomSampler([...])")


def _sampler(call: ast.expr) -> tuple[str, dict[str, Any]]:
    match call:
        case ast.Call(func=ast.Name(id=name), args=values, keywords=keywords) if name in _SAMPLERS:
            fields = _SAMPLERS[name][0]
            arguments = dict(zip(fields, values, strict=False))
            arguments |= {str(keyword.arg): keyword.value for keyword in keywords}
            if len(arguments) == len(values) + len(keywords) and arguments.keys() <= fields.keys():
                return name, {fields[each]: _value(each, arguments[each]) for each in arguments}
            allowed = f"{name}({', '.join(fields)})"
            raise wrong(TITLE, "not its arguments", ast.unparse(call), allowed)
    raise wrong(TITLE, "not one of its samplers", ast.unparse(call), ", ".join(_SAMPLERS))


def _value(name: str, expression: ast.expr) -> Any:
    """An argument's value; of a tokenizer, whether there is one."""
    if name == "tokenizer" and isinstance(expression, ast.Name):
        return True
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError):
        raise wrong(TITLE, f"{name} is not a value", ast.unparse(expression)) from None


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    fields = dict(writing.fields)
    order = fields.pop("order", [])
    if fields.pop("structure", False):
        fields.pop("protected_token_ids", None)
        fields["tokenizer"] = "tokenizer"
    if not fields.get("protected_token_ids"):
        fields.pop("protected_token_ids", None)
    greedy = fields.get("temperature") == 0
    parts = []
    for name, (arguments, stage) in _SAMPLERS.items():
        if not stage and any(field in fields for field in arguments.values()):
            parts.append(_call(name, fields))
    last = [parts.pop()] if parts and parts[-1].startswith("SS_AdaptiveP") else []
    by_stage = {stage: name for name, (_, stage) in _SAMPLERS.items()}
    parts += [_call(by_stage[stage], fields) for stage in order if not greedy]
    parts += last or ["SS_Argmax()" if greedy else "SS_Sample()"]
    return f"CustomSampler([{', '.join(parts)}])", writing.notes


def _call(name: str, fields: Mapping[str, Any]) -> str:
    """A sampler with its arguments, those of XTC that are optional by name."""
    arguments = []
    for argument, field in _SAMPLERS[name][0].items():
        if argument == "tokenizer" and field in fields:
            arguments.append("tokenizer=tokenizer")
        elif argument == "protected_token_ids" and field in fields:
            arguments.append(f"{argument}={fields[field]!r}")
        elif field in fields or field in _NEUTRAL:
            arguments.append(repr(fields.get(field, _NEUTRAL.get(field))))
    return f"{name}({', '.join(arguments)})"


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
