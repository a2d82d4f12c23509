"""Mirostat: a truncation whose bound follows the surprise of the tokens drawn."""

from temperament.stages.base import Parameter, Stage
from temperament.stages.kinds import INTEGER, NUMBER

STAGE = Stage(
    name="mirostat",
    group="cut",
    parameters=(
        Parameter(
            "mirostat",
            INTEGER,
            "The version, 1 or 2.",
            neutral=0,
            low=0,
            high=2,
            choice=True,
        ),
        Parameter(
            "mirostat_tau",
            NUMBER,
            "The target surprise, in bits.",
            default=5.0,
            low=0.0,
            slider=(0, 10, 0.1),
        ),
        Parameter(
            "mirostat_eta",
            NUMBER,
            "How fast the bound follows.",
            default=0.1,
            low=0.0,
            slider=(0, 1, 0.01),
        ),
    ),
    summary="keeps the surprise of the text at tau bits",
    summary_zh="把文本的惊讶度控制在 tau 比特",
    source="Basu et al. 2020, arXiv:2007.14966",
    elsewhere="surprise is that among the tokens that were left, as in llama.cpp and"
    " text-generation-webui; the paper's own program measures it before the cut; KoboldCpp keeps"
    " one bound for all requests; text-generation-webui knows one row",
    replaces_cuts=True,
    needs=frozenset({"history", "state"}),
)
