"""SillyTavern's requests: all of its fields at the top level of a body, under several names each.

`translate` turns one into a body of ours. A field that says what another one says already, or that
asks for nothing, is honoured by leaving it out; every other field that we can't honour is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from temperament.errors import Problem, RequestError, shown
from temperament.interchange import sillytavern, webui
from temperament.interchange.base import Note, Reading
from temperament.interchange.dialect import READ_BY_ORDER, Dialect, Field, read
from temperament.presets.schema import MOVABLE

# A body with two of these is one of SillyTavern's.
MARKERS = frozenset(
    {"api_server", "api_type", "ban_eos_token", "custom_token_bans", "rep_pen",
     "repetition_penalty_range", "stopping_strings", "truncation_length"}
)  # fmt: skip

# What vLLM reads by itself.
_VLLMS = frozenset(
    {"model", "prompt", "messages", "stream", "stream_options", "max_tokens", "n", "seed", "stop",
     "logprobs", "top_logprobs", "ignore_eos", "skip_special_tokens", "logit_bias", "min_tokens",
     "spaces_between_special_tokens", "include_reasoning", "include_stop_str_in_output", "user",
     "response_format", "structured_outputs", "tools", "tool_choice", "preset", "vllm_xargs"}
)  # fmt: skip
# name -> the name that says the same
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
# name -> the value that asks for nothing
_OFF: Mapping[str, Any] = {
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
    "rep_pen_slope": 1,
    "repetition_decay": 0,
    "speculative_ngram": False,
    "cache_prompt": True,
}
# What is compared or counted with before it is a parameter of ours.
_NUMBERS = (
    "epsilon_cutoff", "eta_cutoff", "dry_penalty_last_n", "repetition_penalty_range",
    "rep_pen_range", "repeat_last_n",
)  # fmt: skip
_UNHONOURED = {
    "api_server": "tells SillyTavern where the server is",
    "api_type": "tells SillyTavern what the server is",
    "truncation_length": "the prompt is cut by the client or refused by the server",
    "num_ctx": "the context is the server's",
    "guidance_scale": "needs a second forward pass that a logits processor in vLLM can't make",
    "num_beams": "changes the search, not the distribution",
}


def _bans(value: Any) -> list[int] | None:
    """Token ids of a list, or of a text with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    return [int(part) for part in parts if str(part).strip()] or None


def _order(fields: Mapping[str, Any]) -> Sequence[str]:
    """The web UI's, if the body says anything of an order; else ours."""
    if "sampler_priority" in fields or fields.get("temperature_last"):
        return [*webui.order_of(fields), "skew"]
    return MOVABLE


DIALECT = Dialect(
    title="SillyTavern",
    fields={
        **webui.FIELDS,
        "adaptive_target": sillytavern.FIELDS["adaptive_target"],
        "skew": sillytavern.FIELDS["skew"],
        "custom_token_bans": Field("suppress_tokens", _bans),
        "banned_strings": Field("banned_strings", lambda value: value or None),
    },
    order=_order,
    left={"sampler_priority": READ_BY_ORDER, "temperature_last": READ_BY_ORDER},
    before_read=webui.before_read,
    after_read=webui.after_read,
)


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether a body is one of SillyTavern's."""
    return len(MARKERS & body.keys()) >= 2


def translate(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """(the body in our words, a note for each field that isn't honoured).

    Raises `RequestError` for what must be a number or a list here and isn't.
    """
    given = {name: value for name, value in body.items() if value is not None}
    wrong = [
        Problem("request", name, "not allowed", shown(given[name]), "a number")
        for name in _NUMBERS
        if name in given and (type(given[name]) not in (int, float) or given[name] != given[name])
    ]
    if not isinstance(given.get("sampler_priority", []), (str, list)):
        value, allowed = shown(given["sampler_priority"]), "a list of samplers' names"
        wrong.append(Problem("request", "sampler_priority", "not allowed", value, allowed))
    if wrong:
        raise RequestError(wrong)
    notes = Reading()
    _one_name_each(given, notes)
    for name, off in _OFF.items():
        value = given.pop(name, off)
        if value != off:
            message = _UNHONOURED.get(name, "isn't a sampling parameter of ours")
            notes.note("lost", name, value, message)
    if given.get("api_type") == "mancer":  # to whom it sends other units
        for name in ("epsilon_cutoff", "eta_cutoff"):
            if name in given:
                given[name] *= 1000
    for name in ("api_server", "api_type", "truncation_length", "num_ctx"):
        if name in given:
            notes.note("left", name, given.pop(name), _UNHONOURED[name])
    changed = {name: given.pop(name) for name in list(given) if name in _VLLMS}
    if given.pop("ban_eos_token", False) and "max_tokens" in changed:
        changed["min_new_tokens"] = changed["max_tokens"]  # until then nothing ends the text
    _orders(given, notes)
    given.setdefault("repetition_penalty_range", 0)
    dry_range = given.pop("dry_penalty_last_n", None)
    reading = read(DIALECT, given)
    changed |= reading.words
    if reading.words.get("dry_multiplier") and dry_range is not None:
        changed["dry_range"] = max(dry_range, 0)
    return changed, notes.notes + [note for note in reading.notes if note.kind != "differs"]


def _one_name_each(given: dict[str, Any], notes: Reading) -> None:
    """Leaves one of the names for the same thing; tells where they disagree."""
    for name, same in _SAME.items():
        if name not in given:
            continue
        value = given.pop(name)
        if same not in given:
            if value not in (0, [], "") or same in DIALECT.fields:
                given[same] = value
        elif given[same] != value:
            notes.note("lost", name, value, f"{same} says {given[same]!r}")
    if given.get("min_tokens") == 0:
        del given["min_tokens"]
    if given.get("dynamic_temperature"):
        given["temperature"] = 1  # it is the middle of the two
    given.pop("dynatemp_range", None)


def _orders(given: dict[str, Any], notes: Reading) -> None:
    """The order for text-generation-webui is read; one for another server is named."""
    for name in ("sampler_order", "samplers"):
        if name in given:
            notes.note("lost", name, "…", "an order for another server; send sampler_priority")
            del given[name]


def header_text(notes: list[Note]) -> str:
    """The notes as a header's value: `name: reason; name: reason`, in ASCII."""
    text = "; ".join(f"{note.name}: {note.message}" for note in notes)
    return text.encode("ascii", "backslashreplace").decode()[:4000]
