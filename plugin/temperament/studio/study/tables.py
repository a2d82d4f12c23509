"""The study's tables in Markdown, from the numbers of each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Numbers = dict[str, Any]

_TEXTS = {
    "en": {
        "at": "at",
        "temperature": "temperature: mean entropy (quartiles)",
        "top_p": "top_p: mean entropy (quartiles)",
        "difference": "top_p minus temperature, % of the model's own",
        "lower": "contexts in which top_p leaves less",
        "parameter": "parameter",
        "equal": "temperature",
        "group": "contexts",
        "count": "number",
        "base_entropy": "own entropy",
        "match": "top_p that does what temperature 0.7 does",
        "gap": "difference at {} (%)",
        "share": "explained by",
        "entropy": "the context's entropy",
        "kind": "the kind of text",
        "both": "both together",
        "rank": "rank correlation with the entropy",
        "all": "all",
        "prose": "prose",
        "code": "code",
        "chat": "chat",
        "translation": "translation",
        "maths": "maths",
        "low": "the surest third",
        "middle": "the middle third",
        "high": "the most open third",
    },
    "zh": {
        "at": "取值",
        "temperature": "temperature：平均熵（四分位）",
        "top_p": "top_p：平均熵（四分位）",
        "difference": "top_p 减 temperature，占模型自身熵的 %",
        "lower": "top_p 剩余熵更少的上下文",
        "parameter": "参数",
        "equal": "temperature",
        "group": "上下文",
        "count": "数量",
        "base_entropy": "自身熵",
        "match": "与 temperature 0.7 等熵的 top_p",
        "gap": "{} 处之差（%）",
        "share": "解释变量",
        "entropy": "上下文的熵",
        "kind": "文本类型",
        "both": "二者一起",
        "rank": "与熵的秩相关",
        "all": "全部",
        "prose": "散文",
        "code": "代码",
        "chat": "对话",
        "translation": "翻译",
        "maths": "数学",
        "low": "最确定的三分之一",
        "middle": "中间的三分之一",
        "high": "最开放的三分之一",
    },
}


def same_number(numbers: Numbers, language: str) -> str:
    """One model: the entropy that is left if both parameters have the same number."""
    texts = _TEXTS[language]
    head = [texts[name] for name in ("at", "temperature", "top_p", "difference", "lower")]
    rows = []
    for x, at in numbers["same"].items():
        cells = [x]
        for name in ("temperature", "top_p"):
            low, high = at[name]["quartiles"]
            cells.append(f"{_range(at[name]['mean'])} ({low:.2f} … {high:.2f})")
        rows.append([*cells, _range(at["difference"], 100, 1), f"{at['lower']:.0%}"])
    return _table(head, rows)


def elasticities(models: Sequence[Numbers], language: str) -> str:
    """All models: the elasticity of the mean entropy by each parameter."""
    texts = _TEXTS[language]
    rows = [
        [f"`{parameter}`", x, *(_range(model["elasticity"][parameter][x]) for model in models)]
        for parameter, values in models[0]["elasticity"].items()
        for x in values
    ]
    return _table([texts["parameter"], texts["at"], *(m["model"] for m in models)], rows)


def equals(models: Sequence[Numbers], language: str) -> str:
    """All models: which value of another parameter has the mean entropy of a temperature."""
    texts = _TEXTS[language]
    rows = []
    for t in models[0]["equal"]["top_p"]:
        for parameter, digits in (("top_p", 2), ("min_p", 3), ("top_k", 0)):
            found = [_range(model["equal"][parameter][t], digits=digits) for model in models]
            rows.append([t, f"`{parameter}`", *found])
    return _table([texts["equal"], texts["parameter"], *(m["model"] for m in models)], rows)


def by_group(numbers: Numbers, language: str) -> str:
    """One model: the same by kind of text, and by the entropy of the context."""
    texts = _TEXTS[language]
    gaps = [texts["gap"].format(x) for x in (0.5, 0.7, 0.9)]
    head = [texts["group"], texts["count"], texts["base_entropy"], texts["match"], *gaps]
    rows = [
        [
            texts[name],
            str(group["contexts"]),
            f"{group['own']:.2f}",
            _range(group["equal"]),
            *(_range(gap, 100, 1) for gap in group["difference"].values()),
        ]
        for name, group in numbers["groups"].items()
    ]
    return _table(head, rows)


def explained(models: Sequence[Numbers], language: str) -> str:
    """All models: what explains which top_p does what temperature 0.7 does."""
    texts = _TEXTS[language]
    rows = [
        [texts[name], *(_range(model["explained"][name]) for model in models)]
        for name in models[0]["explained"]
    ]
    return _table([texts["share"], *(m["model"] for m in models)], rows)


def all_tables(models: Sequence[Numbers], language: str) -> dict[str, str]:
    """Returns every table by its marker in docs/study.md."""
    tables = {
        "elasticity": elasticities(models, language),
        "equal": equals(models, language),
        "explained": explained(models, language),
    }
    for numbers in models:
        tables[f"same {numbers['model']}"] = same_number(numbers, language)
        tables[f"groups {numbers['model']}"] = by_group(numbers, language)
    return tables


def _range(estimate: Sequence[float] | None, scale: float = 1, digits: int = 2) -> str:
    if estimate is None:
        return "-"
    value, low, high = (f"{part * scale:.{digits}f}" for part in estimate)
    return f"{value} [{low}, {high}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
