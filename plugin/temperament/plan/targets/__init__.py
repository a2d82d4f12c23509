"""What each engine can do by itself, as data: one file for each engine, and one line here."""

from collections.abc import Mapping

from temperament.plan.targets.target import COMMUTING, Limit, Route, Target
from temperament.plan.targets.transformers import TRANSFORMERS, TRANSFORMERS_BATCHING
from temperament.plan.targets.vllm import VLLM, VLLM_MESSAGES, VLLM_SERVER

TARGETS: Mapping[str, Target] = {"vllm": VLLM, "transformers": TRANSFORMERS}

# The entry points, as the documents and `temperament explain` show them. vLLM has two: a flag is an
# argument of `LLM`, and a command-line option of `vllm serve`.
ENTRY_POINTS: Mapping[str, Target] = {
    "transformers": TRANSFORMERS,
    **TARGETS,
    "server": VLLM_SERVER,
}

__all__ = [
    "COMMUTING",
    "ENTRY_POINTS",
    "TARGETS",
    "TRANSFORMERS",
    "TRANSFORMERS_BATCHING",
    "VLLM",
    "VLLM_MESSAGES",
    "VLLM_SERVER",
    "Limit",
    "Route",
    "Target",
]
