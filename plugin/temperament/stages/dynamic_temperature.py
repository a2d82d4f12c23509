"""Dynamic temperature: `x / T`, with T between two values by how flat the distribution is."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import NUMBER

STAGE = Stage(
    name="dynamic_temperature",
    group="shape",
    parameters=(
        Parameter(
            "dynatemp_low",
            NUMBER,
            "The temperature where the distribution has no entropy. Equal to dynatemp_high: off.",
            default=1.0,
            low=0.0,
            slider=(0, 3, 0.05),
        ),
        Parameter(
            "dynatemp_high",
            NUMBER,
            "The temperature where all candidates are equally likely.",
            default=1.0,
            low=0.0,
            slider=(0, 3, 0.05),
        ),
        Parameter(
            "dynatemp_exponent",
            NUMBER,
            "Bends the way from low to high: T = low + (high - low) * (H / Hmax)^exponent. Bounded"
            " so that the rounding of H doesn't decide.",
            default=1.0,
            low=0.0,
            low_open=True,
            high=100.0,
            slider=(0.1, 5, 0.1),
        ),
    ),
    summary="divides the logits by a temperature that rises with the distribution's entropy",
    summary_zh="按分布的熵在最低与最高温度之间取温度，再用 logits 除以它",
    source="kalomaze; llama.cpp #4972, KoboldCpp #600",
    elsewhere="low = high is off here, not that temperature; llama.cpp, KoboldCpp and SillyTavern"
    " give a range around the temperature; text-generation-webui takes the entropy and the number"
    " of candidates over the whole batch, which is right for one row alone",
    neutral_when=lambda values: values["dynatemp_low"] == values["dynatemp_high"],
)
