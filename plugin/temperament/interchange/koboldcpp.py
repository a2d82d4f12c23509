"""KoboldCpp's JSON: the fields of a request to generate, or of `--gendefaults`.

`sampler_order` holds numbers: 0 top_k, 1 top_a, 2 top_p and min_p, 3 tfs, 4 typical, 5 temperature
with smoothing and top-n-sigma, 6 the repetition penalty. DRY comes first and XTC last. Its
candidates are always the 3,000 most likely tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from temperament.interchange.base import CantSayError, Format, Note, Reading, Writing, exact
from temperament.interchange.breakers import breakers_of
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read, write
from temperament.interchange.files import json_object, looks_like_json
from temperament.interchange.llamacpp import all_or, put_dynatemp, range_of
from temperament.presets import Preset
from temperament.stages import PARAMETERS

TITLE = "KoboldCpp"
NUMBERS: tuple[tuple[str, ...], ...] = (
    ("top_k",),
    ("top_a",),
    ("top_p", "min_p"),
    ("tfs",),
    ("typical_p",),
    ("temperature", "dynamic_temperature", "smoothing", "top_n_sigma"),
    (),
)
USUAL = (6, 0, 1, 3, 4, 2, 5)
WINDOW = 320


def _ban(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for text in value if text]


def _no_empty(value: Any) -> list[str]:
    if not value:
        raise CantSayError("a list without breakers stands for the default ones there")
    return list(value)


FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "top_k": Field("top_k", lambda value: max(value, 0)),
    "top_p": Field("top_p"),
    "min_p": Field("min_p"),
    "top_a": Field("top_a"),
    "tfs": Field("tfs"),
    "typical": Field("typical_p"),
    "nsigma": Field("top_n_sigma", lambda value: max(value, 0.0)),
    "smoothing_factor": Field("smoothing_factor"),
    "smoothing_curve": Field("smoothing_curve"),
    "rep_pen": Field("repetition_penalty"),
    "rep_pen_range": Field("repetition_range", range_of, all_or),
    "presence_penalty": Field(
        "presence_penalty", remark="KoboldCpp counts the window of rep_pen_range, the prompt's too"
    ),
    "dry_multiplier": Field("dry_multiplier"),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length"),
    "dry_penalty_last_n": Field("dry_range", range_of, all_or),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, _no_empty),
    "xtc_probability": Field("xtc_probability"),
    "xtc_threshold": Field("xtc_threshold"),
    "mirostat": Field("mirostat"),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
    "adaptive_target": Field(
        "adaptive_target", lambda value: value if value >= 0 else -1, lambda value: value
    ),
    "adaptive_decay": Field("adaptive_decay"),
    "logit_bias": Field(
        "logit_bias",
        lambda value: {int(token): float(bias) for token, bias in value.items()} or None,
        lambda value: {str(token): bias for token, bias in value},
    ),
    "banned_strings": Field("banned_strings", _ban, remark="KoboldCpp goes back and draws again"),
    "max_length": Field("max_tokens"),
    "stop_sequence": Field("stop", lambda value: value or None),
    "sampler_seed": Field("seed", lambda value: value if value >= 0 else None),
}
_OFF = {"rep_pen_slope": 1, "guidance_scale": 1, "grammar": "", "banned_tokens": [],
        "bypass_eos": False, "ban_eos_token": False, "use_default_badwordsids": False}  # fmt: skip
_LEFT = ("prompt", "memory", "images", "max_context_length", "n", "genkey", "trim_stop", "quiet",
         "render_special", "logprobs", "grammar_retain_state", "replace_instruct_placeholders",
         "negative_prompt", "stream", "sampler_len")  # fmt: skip


def _order(fields: Mapping[str, Any]) -> list[str]:
    if fields.get("mirostat"):
        return ["temperature", "smoothing", "mirostat"]
    numbers = fields.get("sampler_order", USUAL)
    stages = [stage for number in numbers if number in range(7) for stage in NUMBERS[number]]
    return [*dict.fromkeys(stages), "xtc"]


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    for name, off in _OFF.items():
        value = fields.pop(name, off)
        if value != off:
            reading.note("lost", name, value, "isn't a sampling parameter of ours")
    numbers = list(fields.get("sampler_order", USUAL))
    if 6 in numbers and numbers[0] != 6:
        reading.note("differs", "sampler_order", numbers, "penalties run first with us")
    if 6 not in numbers:
        for name in ("rep_pen", "presence_penalty"):
            if fields.get(name, 1.0 if name == "rep_pen" else 0) not in (0, 1.0):
                message = "6 isn't in sampler_order, so it doesn't act there"
                reading.note("lost", name, fields.pop(name), message)
    used = fields.get("rep_pen", 1.0) != 1.0 or fields.get("presence_penalty", 0)
    if used:
        fields.setdefault("rep_pen_range", WINDOW)
    if used and fields.get("dry_multiplier"):
        reading.note("differs", "dry_multiplier", fields["dry_multiplier"], "DRY is before the"
                     " repetition penalty there, and behind it with us")  # fmt: skip
    if fields.get("dry_multiplier"):
        fields.setdefault("dry_penalty_last_n", WINDOW)
    range_ = fields.pop("dynatemp_range", 0)
    exponent = fields.pop("dynatemp_exponent", 1.0)
    if range_ > 0 and 5 in numbers and not fields.get("mirostat"):
        middle = exact(fields.get("temperature", 0.7))
        fields["temperature"] = 1.0
        low, high = max(middle - exact(range_), exact(0)), middle + exact(range_)
        reading.words |= {"dynatemp_low": float(low), "dynatemp_high": float(high)}
        if exponent != 1:
            reading.words["dynatemp_exponent"] = exponent


def _after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    if reading.words.get("xtc_probability"):
        reading.words["xtc_protect_structure"] = False
        reading.words.setdefault("xtc_threshold", 0.2)


def _before_write(say: dict[str, Any], preset: Preset, writing: Writing) -> None:
    if say.get("presence_penalty"):
        say.setdefault("repetition_range", 0)
    if say.get("dry_multiplier"):
        say.setdefault("dry_range", 0)
        if any(say.get(name, off) != off for name, off in _PENALTIES.items()):
            message = "KoboldCpp runs DRY before the repetition penalty, we behind it"
            writing.note("differs", "dry_multiplier", say["dry_multiplier"], message)
    if say.get("mirostat"):
        for name in ("dynatemp_low", "dynatemp_high", "dynatemp_exponent", "adaptive_target",
                     "adaptive_decay"):  # fmt: skip
            value = say.pop(name, PARAMETERS[name].unset)
            if value != PARAMETERS[name].unset:
                writing.note("lost", name, value, "doesn't run there beside mirostat")
    put_dynatemp(say, writing, TITLE)


_PENALTIES = {"repetition_penalty": 1.0, "presence_penalty": 0.0}


def _put_order(writing: Writing, stages: tuple[str, ...]) -> None:
    """The numbers, if the stages come in their groups."""
    if "mirostat" in stages:
        theirs = [stage for stage in _order({"mirostat": 2}) if stage in stages]
        if theirs != list(stages):
            message = f"KoboldCpp runs {', '.join(theirs)}"
            writing.note("lost", "order", list(stages), message)
        return
    numbers = [n for stage in stages for n, group in enumerate(NUMBERS) if stage in group]
    order = [6, *dict.fromkeys(numbers), *(n for n in USUAL if n != 6 and n not in numbers)]
    theirs = [stage for stage in _order({"sampler_order": order}) if stage in stages]
    if theirs != list(stages):
        message = f"KoboldCpp runs {', '.join(theirs)}"
        writing.note("lost", "order", list(stages), message)
    writing.fields["sampler_order"] = order


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=_order,
    put_order=_put_order,
    defaults={"temperature": 0.7, "top_k": 100, "top_p": 0.92},
    fixed={"xtc_protect_structure": False, "xtc_protected": ()},
    left={"sampler_order": READ_BY_ORDER, **dict.fromkeys(_LEFT, "isn't sampling")},
    before_read=_before_read,
    after_read=_after_read,
    before_write=_before_write,
)


def _read(text: str, section: str) -> Reading:
    return read(DIALECT, json_object(text, TITLE))


def _write(preset: Preset) -> tuple[str, list[Note]]:
    writing = write(DIALECT, preset)
    return json.dumps(writing.fields, indent=2, ensure_ascii=False), writing.notes


FORMAT = Format(
    "koboldcpp",
    "KoboldCpp JSON",
    _read,
    _write,
    lambda name, text: looks_like_json(text, "rep_pen") or looks_like_json(text, "sampler_order"),
)
