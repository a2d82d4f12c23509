"""SillyTavern's requests, all fields at the top of a body."""

from __future__ import annotations

from typing import Any

import pytest

from temperament.errors import RequestError
from temperament.interchange.sillytavern_request import header_text, is_request, translate
from temperament.presets.fields import SETTINGS
from temperament.presets.parsing import parse_preset

# What it sends to a vLLM server with some samplers on; names as it has them, values chosen here.
BODY: dict[str, Any] = {
    "model": "m", "prompt": "Once", "max_new_tokens": 20, "max_tokens": 20, "temperature": 1.1,
    "top_p": 0.95, "typical_p": 1, "typical": 1, "min_p": 0.02, "repetition_penalty": 1.1,
    "frequency_penalty": 0, "presence_penalty": 0, "top_k": 0, "skew": 0, "min_tokens": 0,
    "add_bos_token": True, "smoothing_factor": 0, "smoothing_curve": 1, "dry_allowed_length": 2,
    "dry_multiplier": 0.8, "dry_base": 1.75, "dry_sequence_breakers": '["\\n", ":"]',
    "dry_penalty_last_n": 128, "max_tokens_second": 0, "stopping_strings": ["\nUser:"],
    "stop": ["\nUser:"], "truncation_length": 2048, "ban_eos_token": False, "n": 1,
    "skip_special_tokens": True, "include_reasoning": True, "top_a": 0, "tfs": 1,
    "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "custom_token_bans": "7,9",
    "banned_strings": ["ugh"], "api_type": "vllm", "api_server": "http://127.0.0.1:8000",
    "xtc_threshold": 0.1, "xtc_probability": 0.5, "nsigma": 1.5, "top_n_sigma": 1.5, "min_keep": 0,
    "adaptive_target": -0.01, "adaptive_decay": 0.9, "ignore_eos": False, "stream": False,
    "spaces_between_special_tokens": True, "logprobs": None,
}  # fmt: skip
# What it adds for text-generation-webui.
WEBUI: dict[str, Any] = {
    "epsilon_cutoff": 3, "eta_cutoff": 0, "rep_pen": 1.1, "rep_pen_range": 512, "seed": 5,
    "repetition_penalty_range": 512, "do_sample": True, "num_beams": 1, "guidance_scale": 1,
    "negative_prompt": "", "repeat_penalty": 1.1, "repeat_last_n": 512, "n_predict": 20,
    "num_predict": 20, "num_ctx": 2048, "mirostat": 0, "rep_pen_slope": 1,
    "temperature_last": True, "early_stopping": False, "penalty_alpha": 0, "length_penalty": 1,
}  # fmt: skip
CLIENTS = {"api_type", "api_server", "truncation_length"}


def names(body: dict[str, Any]) -> set[str]:
    """Which fields a warning names as not honoured."""
    return {note.name for note in translate(body)[1]}


class TestIsRequest:
    """`is_request`."""

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (BODY, True),
            ({"model": "m", "messages": [], "temperature": 1.0, "dry_multiplier": 0.8}, False),
            ({"api_type": "x"}, False),
            ({"truncation_length": 1, "stopping_strings": []}, True),
        ],
    )
    def test_by_its_fields(self, body: dict[str, Any], expected: bool) -> None:
        """A request is SillyTavern's if it has two fields that nobody else sends."""
        assert expected == is_request(body)


class TestTranslate:
    """`translate`."""

    def test_a_body_for_vllm(self) -> None:
        """Samplers get a preset's names, repeated fields are left out, others are named."""
        changed, notes = translate(BODY)
        sampling = {k: v for k, v in changed.items() if k in SETTINGS}
        expected = {
            "temperature": 1.1, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.1,
            "dry_multiplier": 0.8, "dry_range": 128, "dry_sequence_breakers": ["\n", ":"],
            "xtc_probability": 0.5, "top_n_sigma": 1.5, "suppress_tokens": [7, 9],
            "banned_strings": ["ugh"], "max_tokens": 20, "stop": ["\nUser:"],
        }  # fmt: skip

        assert CLIENTS == {note.name for note in notes}
        assert expected.items() <= sampling.items()
        assert (
            "suppress_tokens", "repetition_penalty", "dry", "banned_strings", "temperature",
            "top_p", "min_p", "top_n_sigma", "xtc",
        ) == parse_preset("request", sampling)[0].chain.names  # fmt: skip

    def test_a_body_for_the_web_ui(self) -> None:
        """Units, ranges and the order are converted; what asks for nothing is left out."""
        changed, notes = translate({**BODY, **WEBUI})

        assert {note.name for note in notes} == CLIENTS | {"num_ctx"}
        assert 0.0003 == changed["epsilon_cutoff"]
        assert 512 == changed["repetition_range"]
        assert "temperature" == changed["order"][-1]
        assert 5 == changed["seed"]

    @pytest.mark.parametrize(
        ("more", "named"),
        [
            ({"guidance_scale": 1.5}, "guidance_scale"),
            ({"num_beams": 4}, "num_beams"),
            ({"grammar_string": "root ::= x"}, "grammar_string"),
            ({"rep_pen": 1.3}, "rep_pen"),
            ({"sampler_order": [6, 0]}, "sampler_order"),
            ({"samplers": ["top_k"]}, "samplers"),
            ({"something_new": 3}, "something_new"),
        ],
        ids=str,
    )
    def test_what_isnt_honoured_is_named(self, more: dict[str, Any], named: str) -> None:
        """The header names what isn't honoured, with the reason."""
        _, notes = translate({**BODY, **more})

        assert {note.name for note in notes} == CLIENTS | {named}
        assert f"{named}: " in header_text(notes)
        assert header_text(notes).isascii()

    def test_dynamic_temperature(self) -> None:
        """SillyTavern's range of temperatures replaces the temperature, which is its middle."""
        changed, _ = translate(
            {**BODY, "dynamic_temperature": True, "dynatemp_low": 0.5, "dynatemp_high": 1.5,
             "dynatemp_range": 0.5, "dynatemp_exponent": 2, "temperature": 1.0}
        )  # fmt: skip

        assert (0.5, 1.5, 2) == tuple(
            changed[f"dynatemp_{name}"] for name in ("low", "high", "exponent")
        )
        assert 1 == changed.get("temperature", 1)

    def test_the_end_is_banned(self) -> None:
        """Until the limit nothing ends the text."""
        assert 20 == translate({**BODY, "ban_eos_token": True})[0]["min_new_tokens"]

    def test_the_body_that_was_given_stays(self) -> None:
        """The caller's body stays as it is, and the result is a new one."""
        body = dict(BODY)
        translate(body)

        assert BODY == body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition_penalty_range", "a"),
        ("rep_pen_range", [1]),
        ("repeat_last_n", {}),
        ("epsilon_cutoff", True),
        ("eta_cutoff", float("nan")),
        ("dry_penalty_last_n", "1"),
        ("sampler_priority", -1),
    ],
)
def test_a_value_of_another_kind(name: str, value: object) -> None:
    """A value of another kind is refused under the client's name of the field."""
    with pytest.raises(RequestError, match=f"request: {name}: not allowed"):
        translate({"api_type": "mancer", "dry_multiplier": 1, name: value})
