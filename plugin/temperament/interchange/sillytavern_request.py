"""SillyTavern's requests, which have all of its fields at the top level, under several names each.

`translate` turns a body into one with a preset's fields. A field that repeats another or changes
nothing is left out without a note; every other field that can't be honoured has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.errors import Problem, RequestError, shown
from temperament.interchange import sillytavern, webui
from temperament.interchange.conversions import slope_is_off
from temperament.interchange.dialect import (
    READ_BY_ORDER,
    Dialect,
    Field,
    read,
    take_unsupported,
)
from temperament.interchange.format import Note, Reading
from temperament.presets.fields import MOVABLE

# A body with two of these fields is one of SillyTavern's.
MARKERS = frozenset(
    {
        "api_server",
        "api_type",
        "ban_eos_token",
        "custom_token_bans",
        "rep_pen",
        "repetition_penalty_range",
        "stopping_strings",
        "truncation_length",
    }
)

# Fields that vLLM reads.
_VLLMS = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "n",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "ignore_eos",
        "skip_special_tokens",
        "logit_bias",
        "min_tokens",
        "spaces_between_special_tokens",
        "include_reasoning",
        "include_stop_str_in_output",
        "user",
        "response_format",
        "structured_outputs",
        "tools",
        "tool_choice",
        "preset",
        "vllm_xargs",
    }
)
# name -> another name of the same field
_SAME = {
    "max_new_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "stopping_strings": "stop",
    "sampler_seed": "seed",
    "rep_pen": "repetition_penalty",
    "repeat_penalty": "repetition_penalty",
    "rep_pen_range": "repetition_penalty_range",
    "repeat_last_n": "repetition_penalty_range",
    "typical": "typical_p",
    "mirostat": "mirostat_mode",
    "nsigma": "top_n_sigma",
    "min_length": "min_tokens",
    "n_probs": "logprobs",
    "dynatemp_min": "dynatemp_low",
    "dynatemp_max": "dynatemp_high",
}
# name -> the value that changes nothing
_UNSUPPORTED: Mapping[str, Any] = {
    "add_bos_token": True,
    "do_sample": True,
    "dynatemp_mode": 0,
    "early_stopping": False,
    "grammar": "",
    "grammar_string": "",
    "guidance_scale": 1,
    "guided_grammar": "",
    "guided_json": None,
    "json_schema": None,
    "length_penalty": 1,
    "max_tokens_second": 0,
    "min_keep": 0,
    "negative_prompt": "",
    "num_beams": 1,
    "penalty_alpha": 0,
    "rep_pen_slope": slope_is_off,
    "repetition_decay": 0,
    "speculative_ngram": False,
    "cache_prompt": True,
}
# Fields that are compared or computed with before the preset is checked.
_NUMBERS = (
    "epsilon_cutoff",
    "eta_cutoff",
    "dry_penalty_last_n",
    "repetition_penalty_range",
    "rep_pen_range",
    "repeat_last_n",
)
_REASONS = {
    "api_server": "is for SillyTavern: where the server is",
    "api_type": "is for SillyTavern: which kind of server it is",
    "truncation_length": "the client shortens the prompt, or the server refuses it",
    "num_ctx": "the server sets the length of its context",
    "guidance_scale": "needs a second forward pass, which a logits processor in vLLM can't run",
    "num_beams": "changes the search, not the distribution",
}


def _order(fields: Mapping[str, Any]) -> Sequence[str]:
    """text-generation-webui's order if the body sets one, else the default order."""
    if "sampler_priority" in fields or fields.get("temperature_last"):
        return [*webui.order_of(fields), "skew"]
    return MOVABLE


DIALECT = Dialect(
    title="SillyTavern",
    fields={
        **webui.FIELDS,
        "adaptive_target": sillytavern.FIELDS["adaptive_target"],
        "skew": sillytavern.FIELDS["skew"],
        "banned_strings": Field("banned_strings", lambda value: value or None),
    },
    order=_order,
    not_sampling={"sampler_priority": READ_BY_ORDER, "temperature_last": READ_BY_ORDER},
    before_read=webui.before_read,
    after_read=webui.after_read,
)


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether a body is one of SillyTavern's."""
    return len(MARKERS & body.keys()) >= 2


def translate(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """The body with a preset's fields, and a note for each field that isn't honoured.

    Raises `RequestError` for a value that must be a number or a list and isn't.
    """
    fields = {name: value for name, value in body.items() if value is not None}
    _check(fields)
    notes = Reading()
    _merge_names(fields, notes)
    take_unsupported(fields, _UNSUPPORTED, _REASONS, notes)
    if fields.get("api_type") == "mancer":  # for it, SillyTavern sends these in other units
        for name in ("epsilon_cutoff", "eta_cutoff"):
            if name in fields:
                fields[name] *= 1000
    for name in ("api_server", "api_type", "truncation_length", "num_ctx"):
        if name in fields:
            notes.note("left", name, fields.pop(name), _REASONS[name])
    changed = {name: fields.pop(name) for name in list(fields) if name in _VLLMS}
    if fields.pop("ban_eos_token", False) and "max_tokens" in changed:
        changed["min_new_tokens"] = changed["max_tokens"]  # nothing ends the text before the limit
    for name in ("sampler_order", "samplers"):
        if name in fields:
            del fields[name]
            message = "an order for another server; sampler_priority would be read"
            notes.note("lost", name, "…", message)
    fields.setdefault("repetition_penalty_range", 0)
    dry_range = fields.pop("dry_penalty_last_n", None)
    reading = read(DIALECT, fields)
    changed |= reading.preset
    if reading.preset.get("dry_multiplier") and dry_range is not None:
        changed["dry_range"] = max(dry_range, 0)
    return changed, notes.notes + [note for note in reading.notes if note.kind != "differs"]


def _check(fields: Mapping[str, Any]) -> None:
    """Raises `RequestError` with every value of a wrong type."""
    wrong = [
        Problem("request", name, "not allowed", shown(fields[name]), "a number")
        for name in _NUMBERS
        if name in fields
        and (type(fields[name]) not in (int, float) or fields[name] != fields[name])
    ]
    if not isinstance(fields.get("sampler_priority", []), (str, list)):
        value, allowed = shown(fields["sampler_priority"]), "a list of samplers' names"
        wrong.append(Problem("request", "sampler_priority", "not allowed", value, allowed))
    if wrong:
        raise RequestError(wrong)


def _merge_names(fields: dict[str, Any], notes: Reading) -> None:
    """Leaves one name of each field, and notes values of other names that differ."""
    for name, same in _SAME.items():
        if name not in fields:
            continue
        value = fields.pop(name)
        if same not in fields:
            if value not in (0, [], "") or same in DIALECT.fields:
                fields[same] = value
        elif fields[same] != value:
            notes.note("lost", name, value, f"{same} is {fields[same]!r}")
    if fields.get("min_tokens") == 0:
        del fields["min_tokens"]
    if fields.get("dynamic_temperature"):
        fields["temperature"] = 1  # SillyTavern sends the middle of the two temperatures
    fields.pop("dynatemp_range", None)


def header_text(notes: list[Note]) -> str:
    """The notes as the value of a header, `name: reason; name: reason`, in ASCII."""
    text = "; ".join(f"{note.name}: {note.message}" for note in notes)
    return text.encode("ascii", "backslashreplace").decode()[:4000]
