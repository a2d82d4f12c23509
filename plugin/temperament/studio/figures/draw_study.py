"""The study's figures: entropies, elasticities, equal entropies, and these by kind of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from temperament.studio.figures.style import Language, Theme, colours, drawing, save
from temperament.studio.study.analysis import LEVELS, Line, Sample, groups, matches
from temperament.studio.study.contexts import KINDS
from temperament.studio.study.entropies import Measured
from temperament.studio.study.sweep import column

_TEXTS = {
    "en": {
        "entropy": "mean entropy in nats, and quartiles",
        "number": "temperature, top_p",
        "elasticity": "elasticity of the mean entropy",
        "equal": "top_p of the same mean entropy",
        "gap": "top_p minus temperature,\n% of the model's own entropy",
        "at": "both at {}",
        "context_entropy": "the context's entropy in nats",
        "match": "top_p that leaves\nwhat temperature 0.7 leaves",
        "low": "surest third",
        "middle": "middle third",
        "high": "most open third",
    },
    "zh": {
        "entropy": "平均熵（nat）与四分位",
        "number": "temperature、top_p",
        "elasticity": "平均熵的弹性",
        "equal": "等平均熵的 top_p",
        "gap": "top_p 减 temperature，\n占模型自身熵的 %",
        "at": "二者均为 {}",
        "context_entropy": "上下文的熵（nat）",
        "match": "与 temperature 0.7\n等熵的 top_p",
        "low": "最确定的三分之一",
        "middle": "中间的三分之一",
        "high": "最开放的三分之一",
        "prose": "散文",
        "code": "代码",
        "chat": "对话",
        "translation": "翻译",
        "maths": "数学",
        "all": "全部",
    },
}

Draw = Callable[[Sequence[Measured], Any, dict[str, str], Theme], Any]


def draw_all(
    models: Sequence[Measured], folder: Path, theme: Theme = "light", language: Language = "en"
) -> list[Path]:
    """Writes each figure as `<name>-<language>-<theme>.png` and returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        with drawing(theme, language) as pyplot:
            figure = draw(models, pyplot, _TEXTS[language], theme)
            paths.append(folder / f"{name}-{language}-{theme}.png")
            save(figure, paths[-1])
    return paths


def _entropy(models: Sequence[Measured], pyplot: Any, texts: dict[str, str], theme: Theme) -> Any:
    figure, panels = pyplot.subplots(
        len(models),
        3,
        figsize=(10, 3 * len(models)),
        squeeze=False,
        layout="constrained",
        sharey=True,
    )
    for row, measured in zip(panels, models, strict=True):
        sample = Sample(measured)
        for panel, names in zip(
            row, (("temperature", "top_p"), ("min_p",), ("top_k",)), strict=True
        ):
            for name, colour in zip(names, colours(theme), strict=False):
                line = sample.entropies(name)
                _draw_line(panel, line, name, colour)
                low, high = sample.quartiles(name)
                panel.fill_between(line.x, low, high, color=colour, alpha=0.15, linewidth=0)
            panel.axhline(sample.base_entropy, color="gray", linewidth=0.8, linestyle=":")
            panel.set_xlabel(texts["number"] if len(names) > 1 else names[0])
            panel.legend(loc="upper left" if names != ("min_p",) else "upper right")
        row[2].set_xscale("log")
        row[0].set_ylabel(f"{measured.model}\n{texts['entropy']}")
    return figure


def _elasticity(
    models: Sequence[Measured], pyplot: Any, texts: dict[str, str], theme: Theme
) -> Any:
    figure, panels = pyplot.subplots(
        1,
        len(models),
        figsize=(5 * len(models), 3.4),
        squeeze=False,
        layout="constrained",
        sharey=True,
    )
    for panel, measured in zip(panels[0], models, strict=True):
        sample = Sample(measured)
        for name, colour in zip(("temperature", "top_p"), colours(theme), strict=False):
            _draw_line(panel, sample.elasticities(name), name, colour)
        panel.axhline(1, color="gray", linewidth=0.8, linestyle=":")
        panel.set(title=measured.model, xlabel=texts["number"], xlim=(0, 2), ylim=(0, 4))
        panel.legend()
    panels[0, 0].set_ylabel(texts["elasticity"])
    return figure


def _equal(models: Sequence[Measured], pyplot: Any, texts: dict[str, str], theme: Theme) -> Any:
    figure, panels = pyplot.subplots(
        1,
        1 + len(models),
        figsize=(3.7 * (1 + len(models)), 3.8),
        layout="constrained",
        sharey=True,
    )
    for measured, colour in zip(models, colours(theme), strict=False):
        _draw_line(panels[0], Sample(measured).equals("top_p"), measured.model, colour)
    for panel, measured in zip(panels[1:], models, strict=True):
        samples = groups(measured)
        for name, colour in zip(LEVELS, colours(theme), strict=False):
            _draw_line(panel, samples[name].equals("top_p"), texts[name], colour)
        panel.set_title(measured.model)
    for panel in panels:
        panel.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle=":")
        panel.set(xlabel="temperature", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        panel.legend(loc="lower right", fontsize=8)
    panels[0].set_ylabel(texts["equal"])
    return figure


def _match(models: Sequence[Measured], pyplot: Any, texts: dict[str, str], theme: Theme) -> Any:
    figure, panels = pyplot.subplots(
        1,
        len(models),
        figsize=(5 * len(models), 3.8),
        squeeze=False,
        layout="constrained",
        sharey=True,
        sharex=True,
    )
    for panel, measured in zip(panels[0], models, strict=True):
        entropy = measured.entropy[:, column("temperature", 1.0)]
        found = matches(measured)
        for name, colour, mark in zip(KINDS, colours(theme), "os^Dv", strict=False):
            rows = [place for place, kind in enumerate(measured.kinds) if kind == name]
            label = texts.get(name, name)
            panel.scatter(entropy[rows], found[rows], s=14, marker=mark, color=colour, label=label)
        panel.axhline(0.7, color="gray", linewidth=0.8, linestyle=":")
        panel.set(title=measured.model, xlabel=texts["context_entropy"], ylim=(0.4, 1.02))
        panel.legend(fontsize=8)
    panels[0, 0].set_ylabel(texts["match"])
    return figure


def _groups(models: Sequence[Measured], pyplot: Any, texts: dict[str, str], theme: Theme) -> Any:
    names = ("all", *KINDS, *LEVELS)
    figure, panels = pyplot.subplots(
        1, 3, figsize=(11, 3.8), layout="constrained", sharey=True, sharex=True
    )
    for panel, x in zip(panels, (0.5, 0.7, 0.9), strict=True):
        for place, (measured, colour) in enumerate(zip(models, colours(theme), strict=False)):
            samples = groups(measured)
            present = [name for name in names if name in samples]
            gaps = [samples[name].difference(x) for name in present]
            panel.errorbar(
                [gap.value * 100 for gap in gaps],
                [names.index(name) + (place - 0.5) * 0.25 for name in present],
                xerr=[
                    [(gap.value - gap.low) * 100 for gap in gaps],
                    [(gap.high - gap.value) * 100 for gap in gaps],
                ],
                fmt="os^"[place % 3],
                markersize=5,
                color=colour,
                label=measured.model,
            )
        panel.axvline(0, color="gray", linewidth=0.8, linestyle=":")
        panel.set_title(texts["at"].format(x))
        panel.set_xlabel(texts["gap"])
    panels[0].set_yticks(range(len(names)), [texts.get(name, name) for name in names])
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(models))
    return figure


def _draw_line(panel: Any, line: Line, label: str, colour: str) -> None:
    panel.plot(line.x, line.value, label=label, color=colour)
    panel.fill_between(line.x, line.low, line.high, color=colour, alpha=0.35, linewidth=0)


FIGURES: dict[str, Draw] = {
    "entropy": _entropy,
    "elasticity": _elasticity,
    "equal": _equal,
    "match": _match,
    "groups": _groups,
}
