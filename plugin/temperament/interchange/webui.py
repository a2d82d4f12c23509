"""text-generation-webui's preset YAML.

A file has the values that differ from neutral. Epsilon and eta count in units of 1e-4, the
penalties and DRY share one window, and a dynamic temperature replaces the plain one.
`sampler_priority` orders everything, the penalties too; what it doesn't name runs before all that
it names. With `temperature_last` the three temperatures run at the end, in an order of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.interchange.conversions import (
    assume,
    bans_text,
    breakers_of,
    breakers_text,
    keep_dynatemp,
    token_bans,
)
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, is_used
from temperament.interchange.files import looks_like_yaml, yaml_format
from temperament.interchange.format import CantSayError, Reading, Writing, scaled
from temperament.presets import Preset
from temperament.stages import BY_NAME, PARAMETERS, STAGE_OF

TITLE = "text-generation-webui"
# their name in sampler_priority -> the stage
PRIORITY: Mapping[str, str] = {
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "dry": "dry",
    "top_n_sigma": "top_n_sigma",
    "temperature": "temperature",
    "dynamic_temperature": "dynamic_temperature",
    "quadratic_sampling": "smoothing",
    "top_k": "top_k",
    "top_p": "top_p",
    "typical_p": "typical_p",
    "epsilon_cutoff": "epsilon_cutoff",
    "eta_cutoff": "eta_cutoff",
    "tfs": "tfs",
    "top_a": "top_a",
    "min_p": "min_p",
    "adaptive_p": "adaptive_p",
    "mirostat": "mirostat",
    "xtc": "xtc",
    "encoder_repetition_penalty": "encoder_repetition_penalty",
    "no_repeat_ngram": "no_repeat_ngram_size",
}
THEIRS = {stage: name for name, stage in PRIORITY.items()}
SHAPES = ("temperature", "dynamic_temperature", "smoothing")
# The order of the stages that `sampler_priority` doesn't name: that in which webui creates them.
_UNNAMED = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "tfs",
    "top_a",
    "top_n_sigma",
    "xtc",
    "dynamic_temperature",
    "smoothing",
    "mirostat",
)
_UNITS = scaled("0.0001")
_WINDOW = "it counts the window of the repetition penalty, and the prompt's tokens in it"
_XTC = "it skips XTC at a step that would remove a newline or the end; Temperament keeps these two"


def _target(value: float) -> float:
    if value == 0:
        raise CantSayError(f"a target of 0 is off in {TITLE}")
    return max(value, 0)


FIELDS: dict[str, Field] = {
    "temperature": Field("temperature"),
    "dynatemp_low": Field("dynatemp_low"),
    "dynatemp_high": Field("dynatemp_high"),
    "dynatemp_exponent": Field("dynatemp_exponent"),
    "smoothing_factor": Field("smoothing_factor"),
    "smoothing_curve": Field("smoothing_curve"),
    "top_k": Field("top_k"),
    "top_p": Field("top_p"),
    "min_p": Field("min_p"),
    "typical_p": Field("typical_p"),
    "epsilon_cutoff": Field("epsilon_cutoff", *_UNITS),
    "eta_cutoff": Field("eta_cutoff", *_UNITS),
    "tfs": Field("tfs"),
    "top_a": Field("top_a"),
    "top_n_sigma": Field("top_n_sigma"),
    "xtc_probability": Field("xtc_probability", remark=_XTC),
    "xtc_threshold": Field("xtc_threshold"),
    "adaptive_target": Field("adaptive_target", lambda value: value if value > 0 else -1, _target),
    "adaptive_decay": Field("adaptive_decay"),
    "mirostat_mode": Field("mirostat"),
    "mirostat_tau": Field("mirostat_tau"),
    "mirostat_eta": Field("mirostat_eta"),
    "repetition_penalty": Field("repetition_penalty"),
    "repetition_penalty_range": Field("repetition_range"),
    "frequency_penalty": Field("frequency_penalty", remark=_WINDOW),
    "presence_penalty": Field("presence_penalty", remark=_WINDOW),
    "encoder_repetition_penalty": Field("encoder_repetition_penalty"),
    "no_repeat_ngram_size": Field("no_repeat_ngram_size"),
    "dry_multiplier": Field("dry_multiplier"),
    "dry_base": Field("dry_base"),
    "dry_allowed_length": Field("dry_allowed_length"),
    "dry_sequence_breakers": Field("dry_sequence_breakers", breakers_of, breakers_text),
    "do_sample": Field("do_sample"),
    "custom_token_bans": Field("suppress_tokens", token_bans, bans_text),
}
DEFAULT_RANGE = 1024


def before_read(fields: dict[str, Any], reading: Reading) -> None:
    """Drops a dynamic temperature that is switched off, and gives DRY the penalties' window."""
    if not fields.pop("dynamic_temperature", False):
        for name in ("dynatemp_low", "dynatemp_high", "dynatemp_exponent"):
            fields.pop(name, None)
    elif (low := fields.get("dynatemp_low", 1)) == fields.get("dynatemp_high", 1) != 1:
        message = "both ends are equal, which is off in Temperament"
        reading.note("lost", "dynatemp_low", low, message)
    window = fields.get("repetition_penalty_range")
    names = ("repetition_penalty", "frequency_penalty", "presence_penalty", "dry_multiplier")
    neutral = {name: PARAMETERS[FIELDS[name].preset_field].neutral for name in names}
    if window is None and any(fields.get(name, neutral[name]) != neutral[name] for name in names):
        assume(fields, reading, "repetition_penalty_range", DEFAULT_RANGE, TITLE)
        window = DEFAULT_RANGE
    if window is not None and window < 0:
        window = fields["repetition_penalty_range"] = 0
    if fields.get("dry_multiplier") and window:
        reading.preset["dry_range"] = window


def _before_read(fields: dict[str, Any], reading: Reading) -> None:
    window = fields.get("repetition_penalty_range")
    if window is not None and window < 0:
        message = f"{TITLE} counts all tokens but the first {-window}; here it is all of them"
        reading.note("lost", "repetition_penalty_range", window, message)
    before_read(fields, reading)


_UNSUPPORTED = {
    "penalty_alpha": 0,
    "guidance_scale": 1,
    "min_length": 0,
    "num_beams": 1,
    "length_penalty": 1,
    "early_stopping": False,
    "negative_prompt": "",
    "truncation_length": None,
    "add_bos_token": True,
    "ban_eos_token": False,
}


def order_of(fields: Mapping[str, Any]) -> list[str]:
    """The stages in the order of `sampler_priority`; `temperature_last` moves the shapes."""
    priority = fields.get("sampler_priority")
    names = split_names(priority) if priority is not None else list(PRIORITY)
    named = [PRIORITY[name] for name in dict.fromkeys(names) if name in PRIORITY]
    stages = [*(stage for stage in _UNNAMED if stage not in named), *named]
    if fields.get("temperature_last"):
        stages = [*(stage for stage in stages if stage not in SHAPES), *SHAPES]
    return [stage for stage in stages if BY_NAME[stage].movable]


def _is_cut(name: str) -> bool:
    return name in STAGE_OF and STAGE_OF[name].group == "cut" and STAGE_OF[name].name != "mirostat"


def split_names(names: Any) -> list[str]:
    """The names of a list, or of a text with commas or line breaks between them."""
    if isinstance(names, str):
        return [name.strip() for name in names.replace("\n", ",").split(",") if name.strip()]
    return [str(name) for name in names]


def after_read(fields: Mapping[str, Any], reading: Reading) -> None:
    """Notes an order in which the penalties aren't first, and the cuts beside mirostat."""
    if is_used("mirostat", reading.preset):
        for name in [name for name in reading.preset if _is_cut(name)]:
            value = reading.preset.pop(name)
            if PARAMETERS[name].neutral not in (None, value):
                message = "Temperament's mirostat takes the place of the cuts"
                reading.note("lost", name, value, message)
    priority = fields.get("sampler_priority")
    if priority is None:
        return
    names = [name for name in split_names(priority) if name in PRIORITY]
    used = [name for name in names if is_used(PRIORITY[name], reading.preset)]
    penalties = [name for name in used if not BY_NAME[PRIORITY[name]].movable]
    if used[: len(penalties)] != penalties:
        reading.note("differs", "sampler_priority", names, "Temperament runs penalties first")


def _before_write(values: dict[str, Any], preset: Preset, writing: Writing) -> None:
    dry = values.pop("dry_range", 0)
    if values.get("dry_multiplier"):
        penalty = values.get("repetition_range")
        if penalty is not None and penalty != dry:
            message = f"{TITLE} has one range for the penalties and DRY"
            writing.note("lost", "dry_range", dry, message)
        else:
            writing.fields["repetition_penalty_range"] = dry
    elif any(values.get(name) for name in ("frequency_penalty", "presence_penalty")):
        values.setdefault("repetition_range", 0)
    keep_dynatemp(values)


def put_order(writing: Writing, stages: Sequence[str]) -> None:
    """Writes the stages that are used, in order, then all others."""
    if "dynatemp_low" in writing.fields:
        writing.fields["dynamic_temperature"] = True
    if tuple(stages) == tuple(s for s in order_of({}) if s in stages):
        return
    names = [THEIRS[stage] for stage in stages if stage in THEIRS]
    first = [name for name in PRIORITY if not BY_NAME[PRIORITY[name]].movable]
    rest = [name for name in PRIORITY if name not in (*names, *first)]
    writing.fields["sampler_priority"] = [*first, *names, *rest]


DIALECT = Dialect(
    title=TITLE,
    fields=FIELDS,
    order=order_of,
    put_order=put_order,
    fixed={"xtc_protect_structure": True, "xtc_protected": (), "dry_protect_ends": False},
    unsupported=_UNSUPPORTED,
    not_sampling={"sampler_priority": READ_BY_ORDER, "temperature_last": READ_BY_ORDER},
    before_read=_before_read,
    after_read=after_read,
    before_write=_before_write,
)
FORMATS = (
    yaml_format(
        "webui",
        "text-generation-webui preset YAML",
        DIALECT,
        lambda name, text: (
            any(looks_like_yaml(text, key) for key in (*FIELDS, "sampler_priority"))
            and not looks_like_yaml(text, "summary")
        ),
        version="4.7.3",
    ),
)
