"""What each engine does on its own, as data: one file an engine, one line here."""

from collections.abc import Mapping

from temperament.plan.targets.base import COMMUTING, Limit, Route, Target
from temperament.plan.targets.transformers import TRANSFORMERS
from temperament.plan.targets.vllm import VLLM, VLLM_MESSAGES, VLLM_SERVER

TARGETS: Mapping[str, Target] = {"vllm": VLLM, "transformers": TRANSFORMERS}

# The ways in, as the documents and `temperament explain` show them. vLLM has two: with `LLM` a flag
# is an argument, with `vllm serve` an option of the command line.
WAYS: Mapping[str, Target] = {
    "transformers": TRANSFORMERS,
    **TARGETS,
    "server": VLLM_SERVER,
}

__all__ = [
    "COMMUTING",
    "TARGETS",
    "TRANSFORMERS",
    "VLLM",
    "VLLM_MESSAGES",
    "VLLM_SERVER",
    "WAYS",
    "Limit",
    "Route",
    "Target",
]
