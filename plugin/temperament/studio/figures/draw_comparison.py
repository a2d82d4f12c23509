"""The figure of a comparison: a panel for each measure, a point with its interval each preset."""

from __future__ import annotations

from collections.abc import Sequence

from temperament.studio.comparison.collect import Collected
from temperament.studio.comparison.report import MEASURES, Compared
from temperament.studio.figures.style import Language, Theme, colours, drawing, save

_CHINESE = {
    "surprise": "平均惊异度",
    "length": "长度",
    "loops": "循环率",
    "speed": "速度",
    "nats": "nat",
    "tokens": "词元",
    "share of texts": "文本占比",
    "tokens/s": "词元/秒",
}


def draw(
    collected: Sequence[Collected],
    compared: Sequence[Compared],
    path: str,
    theme: Theme = "light",
    language: Language = "en",
) -> None:
    """Writes the figure to `path` (`.png` or `.svg`). Raises `EngineError`, see `drawing`."""
    texts = _CHINESE if language == "zh" else {}
    names = [each.preset.name for each in collected]
    with drawing(theme, language) as pyplot:
        figure, panels = pyplot.subplots(
            2, 4, figsize=(11, 1.6 + 0.7 * len(names)), layout="constrained", sharey=True
        )
        for panel in panels.flat[len(compared) :]:
            panel.set_axis_off()
        for panel, each in zip(panels.flat, compared, strict=False):
            for place, (estimate, colour) in enumerate(
                zip(each.estimates, colours(theme) * len(names), strict=False)
            ):
                panel.plot([estimate.low, estimate.high], [place, place], "-", color=colour)
                panel.plot([estimate.value], [place], "os^Dv"[place % 5], color=colour)
            unit = MEASURES[each.measure]
            panel.set_title(texts.get(each.measure, each.measure))
            panel.set_xlabel(texts.get(unit, unit))
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)
            panel.grid(axis="y", visible=False)
        save(figure, path)
