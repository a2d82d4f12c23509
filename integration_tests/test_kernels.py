"""The V2 runner on the Triton kernels, under Triton's interpreter, since there is no GPU here."""

from pathlib import Path
from typing import Any

from integration_tests.harness.offline import generate

CHAINS: list[dict[str, Any]] = [
    {"temperature": 1.3, "top_k": 50, "top_p": 0.95, "min_p": 0.05},
    {"temperature": 0.9, "repetition_penalty": 1.2, "frequency_penalty": 0.4},
    {"typical_p": 0.7, "dry_multiplier": 0.8},
    {"min_p": 0.02, "xtc_probability": 0.5, "xtc_threshold": 0.05},
    {"mirostat": 2, "mirostat_tau": 4.0},
    {"top_n_sigma": 1.5, "adaptive_target": 0.4},
]


def test_the_kernels_write_what_the_operators_write(tiny_path: Path) -> None:
    """Requests with different presets, in one batch, end to end: the same tokens."""
    requests: list[dict[str, Any]] = [
        {
            "ids": [5, 6, 7, 5, 6],
            "preset": {**chain, "reproducible": True, "seed": 100 + number},
            "overrides": {"max_tokens": 12},
        }
        for number, chain in enumerate(CHAINS)
    ]
    options: dict[str, Any] = {"runner": "v2", "dtype": "float32", "max_model_len": 64}
    expected, _ = generate(tiny_path, requests, **options)
    actual, _ = generate(tiny_path, requests, kernels=True, **options)

    assert expected == actual
