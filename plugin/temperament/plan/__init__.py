"""Preset and engine to `Plan`: which stages the engine runs natively, and which are residual."""

from temperament.plan.residual import PresetPlan, Residual, split_preset
from temperament.plan.split import Choice, Decision, Plan, split
from temperament.plan.targets import TARGETS, Target
from temperament.plan.wire import decode, encode

__all__ = [
    "TARGETS",
    "Choice",
    "Decision",
    "Plan",
    "PresetPlan",
    "Residual",
    "Target",
    "decode",
    "encode",
    "split",
    "split_preset",
]
