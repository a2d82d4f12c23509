"""The style of figures: colours for any colour vision, light or dark, English or Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from temperament.errors import EngineError, Problem

Theme = Literal["light", "dark"]
Language = Literal["en", "zh"]

# Okabe and Ito 2008, "Color Universal Design": distinct with any kind of colour vision. On a dark
# ground white replaces black; on a light ground yellow is too faint and is left out.
_COLOURS: dict[Theme, tuple[str, ...]] = {
    "light": ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00"),
    "dark": ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#FFFFFF", "#D55E00", "#CC79A7"),
}
# Lines differ in their dashes too, for print without colour.
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_GROUND: dict[Theme, tuple[str, str, str]] = {
    "light": ("#ffffff", "#1f2328", "#d0d7de"),
    "dark": ("#0d1117", "#e6edf3", "#30363d"),
}
MAP = "cividis"  # even in brightness, and the same to any kind of colour vision

_CHINESE = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
)


@contextmanager
def drawing(theme: Theme = "light", language: Language = "en") -> Iterator[Any]:
    """`matplotlib.pyplot` with this style; figures opened in the block are closed at its end.

    Raises `EngineError` if matplotlib, or for Chinese a font that has it, isn't installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise EngineError(
            Problem("plots", "", "need matplotlib", allowed="pip install 'temperament[studio]'")
        ) from error
    matplotlib.use("agg")  # draws into files: no window, no screen
    from cycler import cycler
    from matplotlib import pyplot

    families = ["DejaVu Sans"] if language == "en" else [chinese_font(), "DejaVu Sans"]
    ground, ink, lines = _GROUND[theme]
    colours = _COLOURS[theme]
    settings: dict[Any, Any] = {
        "figure.facecolor": ground,
        "savefig.facecolor": ground,
        "axes.facecolor": ground,
        "axes.edgecolor": lines,
        "axes.labelcolor": ink,
        "axes.titlesize": 11,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "axes.prop_cycle": cycler(color=colours) + cycler(linestyle=_DASHES),
        "grid.color": lines,
        "grid.linewidth": 0.6,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.frameon": False,
        "font.family": families,
        "font.size": 10,
        "image.cmap": MAP,
        "svg.hashsalt": "temperament",  # the same figure, the same bytes
        "svg.fonttype": "path",
    }
    with matplotlib.rc_context(settings):
        opened = set(pyplot.get_fignums())
        try:
            yield pyplot
        finally:
            for number in set(pyplot.get_fignums()) - opened:
                pyplot.close(number)


def colours(theme: Theme) -> tuple[str, ...]:
    """The theme's colours, most different first."""
    return _COLOURS[theme]


def chinese_font() -> str:
    """The name of an installed font with Chinese characters. Raises `EngineError` if none is."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    for name in _CHINESE:
        if name in installed:
            return name
    raise EngineError(
        Problem(
            "--lang",
            "",
            "no font with Chinese characters is installed",
            "zh",
            f"one of {', '.join(_CHINESE)} (Debian: apt-get install fonts-wqy-microhei)",
        )
    )


def save(figure: Any, path: str | Path) -> None:
    """Writes a figure; the suffix of `path`, `.png` or `.svg`, selects the format.

    Raises `EngineError` if the file can't be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ("png", "svg"):
        raise EngineError(Problem(str(path), "", "not a format of figures", kind, "png or svg"))
    nothing = {"Date": None} if kind == "svg" else {"Software": None}
    try:
        figure.savefig(path, dpi=100, bbox_inches="tight", metadata=nothing)
    except OSError as error:
        raise EngineError(
            Problem(str(path), "", f"can't be written: {error.strerror or error}")
        ) from error
