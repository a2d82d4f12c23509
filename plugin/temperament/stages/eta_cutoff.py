"""Eta cutoff: as the epsilon cutoff, but lower where the distribution is flat."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="eta_cutoff",
    group="cut",
    parameters=(
        Parameter(
            "eta_cutoff",
            NUMBER,
            "e of the least probability min(e, sqrt(e) * exp(-H)), as such: 0.0003, not 3.",
            neutral=0.0,
            low=0.0,
            high=1.0,
            high_open=True,
            slider=(0, 0.1, 0.0005),
        ),
    ),
    summary="removes tokens with a probability below min(e, sqrt(e) * exp(-entropy))",
    summary_zh="去除概率低于 min(e, sqrt(e)·exp(-熵)) 的 token",
    source="Hewitt, Manning, Liang 2022, arXiv:2210.15191",
    elsewhere="text-generation-webui and SillyTavern give it in units of 1e-4; Transformers and"
    " Aphrodite as here",
)
