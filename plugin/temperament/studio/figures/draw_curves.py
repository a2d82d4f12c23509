"""The figures of the reference documents: temperature, entropy, kept sets, the heat map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from temperament.studio import curves
from temperament.studio.figures.style import Language, Theme, drawing, save

_TEXTS = {
    "en": {
        "raw": "Temperature and the distribution",
        "sorted": "The same, sorted",
        "entropy": "Entropy by temperature",
        "kept": "The kept set",
        "map": "Entropy by temperature and top_p",
        "token": "token id",
        "rank": "rank (0: the most likely)",
        "probability": "probability",
        "nats": "entropy in nats",
        "tokens": "tokens kept",
    },
    "zh": {
        "raw": "温度与概率分布",
        "sorted": "同一分布，按概率排序",
        "entropy": "熵随温度的变化",
        "kept": "保留的词集",
        "map": "熵随 temperature 与 top_p 的变化",
        "token": "词元编号",
        "rank": "名次（0 为概率最高）",
        "probability": "概率",
        "nats": "熵（nat）",
        "tokens": "保留的词元数",
    },
}
_RANKS = 1000  # of a sorted distribution that are drawn
_FEW = 200  # tokens up to which each gets a mark


def draw_all(
    logits: Tensor,
    folder: str | Path,
    names: list[str],
    kind: str = "png",
    theme: Theme = "light",
    language: Language = "en",
) -> list[Path]:
    """Writes the figures of these names ([vocab] logits) into a folder, and returns their paths.

    Raises `EngineError`, see `style.drawing` and `style.save`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names:
        with drawing(theme, language) as pyplot:
            figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
            FIGURES[name](logits, axes, _TEXTS[language])
            axes.set_title(_TEXTS[language][name])
            paths.append(folder / f"{name}.{kind}")
            save(figure, paths[-1])
    return paths


def _raw(logits: Tensor, axes: Any, texts: dict[str, str]) -> None:
    mark = "o" if len(logits) <= _FEW else ""
    shares = curves.distributions(logits)
    for temperature, row in zip(curves.TEMPERATURES, shares, strict=True):
        axes.plot(row.numpy(), marker=mark, markersize=3, linewidth=1.2, label=f"T = {temperature}")
    axes.set(xlabel=texts["token"], ylabel=texts["probability"], ylim=(0, None))
    axes.legend()


def _sorted(logits: Tensor, axes: Any, texts: dict[str, str]) -> None:
    mark = "o" if len(logits) <= _FEW else ""
    shares = curves.distributions(logits).sort(-1, descending=True).values[:, :_RANKS]
    for temperature, row in zip(curves.TEMPERATURES, shares, strict=True):
        axes.plot(row.numpy(), marker=mark, markersize=3, label=f"T = {temperature}")
    axes.set(xlabel=texts["rank"], ylabel=texts["probability"], yscale="log")
    axes.set_ylim(bottom=max(float(shares[shares > 0].min()), 1e-12))
    axes.legend()


def _entropy(logits: Tensor, axes: Any, texts: dict[str, str]) -> None:
    curve = curves.entropy_by_temperature(logits)
    axes.plot(curve.x.numpy(), curve.y.numpy())
    axes.axvline(1, linewidth=0.8, linestyle=":")
    axes.set(xlabel="temperature", ylabel=texts["nats"], xlim=(0, 2), ylim=(0, None))


def _kept(logits: Tensor, axes: Any, texts: dict[str, str]) -> None:
    top_p, top_k, min_p = curves.kept_sets(logits)
    for curve, mark in ((top_p, "o"), (min_p, "s")):
        axes.plot(
            curve.x.numpy(), curve.y.numpy(), marker=mark, markersize=4, label=curve.parameter
        )
    axes.set(xlabel="top_p, min_p", ylabel=texts["tokens"], yscale="log", xlim=(0, 1.02))
    counts = axes.twiny()
    counts.plot(top_k.x.numpy(), top_k.y.numpy(), "^:", markersize=4, color="C2", label="top_k")
    counts.set(xscale="log", xlabel="top_k")
    counts.grid(visible=False)
    handles, labels = axes.get_legend_handles_labels()
    more, names = counts.get_legend_handles_labels()
    axes.legend(handles + more, labels + names)


def _map(logits: Tensor, axes: Any, texts: dict[str, str]) -> None:
    heat = curves.entropy_map(logits)
    mesh = axes.pcolormesh(heat.temperature.numpy(), heat.top_p.numpy(), heat.entropy.numpy())
    lines = axes.contour(
        heat.temperature.numpy(),
        heat.top_p.numpy(),
        heat.entropy.numpy(),
        colors="white",
        linewidths=0.8,
    )
    axes.clabel(lines, fontsize=8)
    axes.grid(visible=False)
    axes.set(xlabel="temperature", ylabel="top_p")
    axes.figure.colorbar(mesh, label=texts["nats"])


FIGURES: dict[str, Callable[[Tensor, Any, dict[str, str]], None]] = {
    "raw": _raw,
    "sorted": _sorted,
    "entropy": _entropy,
    "kept": _kept,
    "map": _map,
}
