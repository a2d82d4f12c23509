"""What the page must know of the stages: their parameters, and how far a slider goes."""

from __future__ import annotations

from typing import Any

from temperament.stages import STAGES, Parameter

# Where a parameter's own range is open, or far wider than anybody uses: (low, high, step).
_SLIDERS: dict[str, tuple[float, float, float]] = {
    "adaptive_target": (0, 1, 0.01),
    "dry_allowed_length": (1, 20, 1),
    "dry_base": (1, 4, 0.05),
    "dry_multiplier": (0, 5, 0.05),
    "dry_range": (0, 4096, 16),
    "dynatemp_exponent": (0.1, 5, 0.1),
    "dynatemp_high": (0, 3, 0.05),
    "dynatemp_low": (0, 3, 0.05),
    "encoder_no_repeat_ngram_size": (0, 20, 1),
    "encoder_repetition_penalty": (0.5, 2, 0.01),
    "epsilon_cutoff": (0, 0.1, 0.0005),
    "eta_cutoff": (0, 0.1, 0.0005),
    "exponential_decay_length_penalty": (0.9, 1.5, 0.005),
    "exponential_decay_start": (0, 1024, 8),
    "forced_bos_token_id": (0, 1000, 1),
    "min_new_tokens": (0, 256, 1),
    "mirostat_eta": (0, 1, 0.01),
    "mirostat_tau": (0, 10, 0.1),
    "no_repeat_ngram_size": (0, 20, 1),
    "repetition_penalty": (0.5, 2, 0.01),
    "repetition_range": (0, 4096, 16),
    "skew": (-3, 3, 0.05),
    "smoothing_curve": (1, 10, 0.1),
    "smoothing_factor": (0, 5, 0.05),
    "temperature": (0, 2, 0.01),
    "tfs": (0.01, 1, 0.01),
    "top_k": (0, 200, 1),
    "top_n_sigma": (0, 5, 0.05),
    "typical_p": (0.01, 1, 0.01),
}
_WIDE = 1000.0


def stages() -> list[dict[str, Any]]:
    """Every stage in the default order, as JSON."""
    return [
        {
            "name": stage.name,
            "group": stage.group,
            "movable": stage.movable,
            "summary": {"en": stage.summary, "zh": stage.summary_zh},
            "source": stage.source,
            "parameters": [_control(parameter) for parameter in stage.parameters],
        }
        for stage in STAGES
    ]


def _control(parameter: Parameter) -> dict[str, Any]:
    control: dict[str, Any] = {
        "name": parameter.name,
        "kind": parameter.kind.name,
        "summary": parameter.summary,
        "allowed": parameter.allowed,
        "unset": parameter.unset,
    }
    if parameter.numeric:
        control["slider"] = list(slider(parameter))
    return control


def slider(parameter: Parameter) -> tuple[float, float, float]:
    """Its lowest and highest value, and its step.

    The number beside it takes any other value; emptied, the parameter is off.
    """
    if parameter.name in _SLIDERS:
        return _SLIDERS[parameter.name]
    low, high = max(parameter.low, -_WIDE), min(parameter.high, _WIDE)
    return low, high, 1 if parameter.whole else (high - low) / 100
