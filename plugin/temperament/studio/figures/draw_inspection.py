"""The figure of an inspection: a row for each preset, a panel of bars for each stage."""

from __future__ import annotations

from typing import Any

from temperament.studio.figures.style import Language, Theme, colours, drawing, save
from temperament.studio.inspection import Inspection

_TEXTS = {
    "en": ("the model", "probability", "entropy {:.2f} nats, {} kept", "removed"),
    "zh": ("模型本身", "概率", "熵 {:.2f} nat，保留 {}", "被移除"),
}


def draw(
    inspection: Inspection, path: str, theme: Theme = "light", language: Language = "en"
) -> None:
    """Writes the figure to `path` (`.png` or `.svg`). Raises `EngineError`, see `drawing`."""
    model, probability, about, removed = _TEXTS[language]
    rows = len(inspection.presets)
    columns = max(len(inspected.snapshots) for inspected in inspection.presets)
    shown = inspection.tokens[::-1]
    with drawing(theme, language) as pyplot:
        height = 0.23 * len(shown) + 1.1
        figure, panels = pyplot.subplots(
            rows,
            columns,
            figsize=(2.6 * columns + 1.2, height * rows),
            squeeze=False,
            sharex=True,
            sharey=True,
            layout="constrained",
        )
        first, second = colours(theme)[:2]
        for row, inspected in enumerate(inspection.presets):
            for column in range(columns):
                panel: Any = panels[row, column]
                if column >= len(inspected.snapshots):
                    panel.set_axis_off()
                    continue
                snapshot = inspected.snapshots[column]
                shares = [float(snapshot.probabilities[token]) for token, _ in shown]
                panel.barh(range(len(shown)), shares, color=first)
                for place, (token, _) in enumerate(shown):
                    if not snapshot.kept[token]:
                        panel.text(0.0, place, f" {removed}", va="center", fontsize=7, color=second)
                panel.set_yticks(range(len(shown)), [_plain(text) for _, text in shown])
                panel.grid(axis="y", visible=False)
                panel.set_xlabel(probability)
                title = snapshot.stage or model
                numbers = about.format(snapshot.entropy, int(snapshot.kept.sum()))
                panel.set_title(f"{title}\n{numbers}", fontsize=9)
            name = f"{inspected.preset.name} {inspected.mode}".strip()
            panels[row, 0].set_ylabel(name, fontsize=11)
        save(figure, path)


def _plain(text: str) -> str:
    """The text for matplotlib, which reads `$` as mathematics."""
    return (text if len(text) <= 18 else f"{text[:17]}…").replace("$", r"\$")
