"""Temperature: `x / T`."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="temperature",
    group="shape",
    parameters=(
        Parameter(
            "temperature",
            NUMBER,
            "Divides the logits: below 1 sharper, above 1 flatter, 0 takes the most likely token.",
            neutral=1.0,
            low=0.0,
            slider=(0, 2, 0.01),
        ),
    ),
    summary="divides the logits by T; 0 is greedy",
    summary_zh="把 logits 除以 T；0 为贪婪解码",
    source="Ackley, Hinton, Sejnowski 1985; reference documents 000, 001, 002, 003",
    elsewhere="vLLM refuses values above 2 and lifts (0, 0.01) to 0.01; KoboldCpp reads 0 as 1/256",
    keeps_order=True,
    greedy_when=lambda values: bool(values["temperature"] == 0),
)
