"""A SillyTavern-style body on a real server: each field honoured, or named in a warning header."""

from __future__ import annotations

from typing import Any

import httpx

from integration_tests.harness.ask import COMPLETIONS
from integration_tests.harness.server import Server

# As SillyTavern sends it: every sampler, most of them off, under all of its names.
BODY: dict[str, Any] = {
    "model": "smollm2", "prompt": "Once upon a time", "max_new_tokens": 8, "max_tokens": 8,
    "temperature": 1.3, "top_p": 1, "typical_p": 1, "typical": 1, "min_p": 0, "top_k": 0,
    "repetition_penalty": 1, "frequency_penalty": 0, "presence_penalty": 0, "skew": 0,
    "min_tokens": 0, "add_bos_token": True, "smoothing_factor": 0, "smoothing_curve": 1,
    "dry_allowed_length": 2, "dry_multiplier": 0, "dry_base": 1.75, "dry_penalty_last_n": 0,
    "dry_sequence_breakers": '["\\n", ":", "\\"", "*"]', "max_tokens_second": 0,
    "stopping_strings": ["\nUser:"], "stop": ["\nUser:"], "truncation_length": 2048,
    "ban_eos_token": False, "skip_special_tokens": True, "include_reasoning": True, "top_a": 0,
    "tfs": 1, "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "custom_token_bans": "",
    "banned_strings": [], "api_type": "vllm", "api_server": "http://127.0.0.1:8000",
    "xtc_threshold": 0.1, "xtc_probability": 0, "nsigma": 0, "top_n_sigma": 0, "min_keep": 0,
    "adaptive_target": -0.01, "adaptive_decay": 0.9, "n": 1, "ignore_eos": False,
    "spaces_between_special_tokens": True, "seed": 7, "stream": False,
}  # fmt: skip
CLIENTS = ["api_server", "api_type", "truncation_length"]


def ask(server: Server, **more: Any) -> tuple[int, str, list[str]]:
    """(status, text, the names in the warning header)."""
    answer = httpx.post(f"{server.url}{COMPLETIONS}", json={**BODY, **more}, timeout=300)
    warning = answer.headers.get("x-sampling-warning", "")
    text = answer.json()["choices"][0]["text"] if answer.is_success else answer.text
    return answer.status_code, text, sorted(part.partition(":")[0] for part in warning.split("; "))


class TestSillyTavern:
    """Every field of SillyTavern on `/v1/completions`."""

    def test_every_field_off(self, v1_server: Server) -> None:
        """With every sampler off it is answered, and the warning names the client's fields."""
        status, _, warned = ask(v1_server)

        assert (200, CLIENTS) == (status, warned)

    def test_what_is_honoured(self, v1_server: Server) -> None:
        """Each sampler that leaves one token gives the greedy text, under any of its names."""
        plain = {"model": "smollm2", "prompt": BODY["prompt"], "temperature": 0, "max_tokens": 8}
        answer = httpx.post(f"{v1_server.url}{COMPLETIONS}", json=plain, timeout=300)
        greedy = answer.json()["choices"][0]["text"]
        tight = {"temperature": 0.2}
        for more in (
            {"top_k": 1},
            {"top_p": 0.0001},
            {"min_p": 1},
            {"top_a": 1, **tight},
            {"nsigma": 0.0001, "top_n_sigma": 0.0001},
            {"tfs": 0.0001},
            {"temperature": 0},
        ):
            status, text, warned = ask(v1_server, **more)

            assert (200, CLIENTS, greedy) == (status, warned, text), more

    def test_penalties_bans_and_texts(self, v1_server: Server) -> None:
        """Penalties, bans and stops change a greedy text."""
        _, greedy, _ = ask(v1_server, top_k=1)
        word = greedy.split()[1]
        for more in ({"repetition_penalty": 2.0}, {"banned_strings": [word]}, {"stop": [word]}):
            status, text, _ = ask(v1_server, top_k=1, **more)

            assert 200 == status
            assert text != greedy, more

    def test_what_cant_be_honoured_is_named(self, v1_server: Server) -> None:
        """Fields that can't be honoured are named in the warning, and the request is answered."""
        status, _, warned = ask(
            v1_server, guidance_scale=1.5, grammar_string="root ::= x", something_new=1
        )

        assert 200 == status
        assert sorted([*CLIENTS, "guidance_scale", "grammar_string", "something_new"]) == warned
