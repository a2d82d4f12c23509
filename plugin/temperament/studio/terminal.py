"""An inspection as tables in a terminal: bars of the tokens after each stage, and its numbers."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from temperament.presets.plain import plain_values
from temperament.studio.inspection import Inspected, Inspection
from temperament.studio.walk import Snapshot

_BAR = 8  # columns of a full bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MODEL = "the model"


def show(inspection: Inspection, width: int | None = None) -> str:
    """The tables as text, with colours if stdout is a terminal that has them."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(_head(inspection))
        for inspected in inspection.presets:
            console.print(_preset(inspection, inspected, console.width))
    return captured.get().rstrip("\n")


def bar(share: float) -> str:
    """A bar of up to eight columns, in eighths of a column; a share above 0 has at least one."""
    eighths = max(round(share * _BAR * 8), 1 if share > 0 else 0)
    full, part = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[part] if part else "")).ljust(_BAR)


def _head(inspection: Inspection) -> RenderableType:
    lines = [f"[bold]{escape(inspection.model)}[/], {len(inspection.ids)} tokens of prompt"]
    if inspection.seen < 1 - 1e-6:
        lines.append(
            f"[yellow]The server returns tokens with {inspection.seen:.1%} of the mass; the others"
            " count as impossible here. With --max-logprobs -1 it returns all.[/]"
        )
    if inspection.inexact:
        lines.append(
            "[yellow]The server returns log-probabilities, which differ from logits by a constant:"
            f" the numbers of {', '.join(inspection.inexact)} are near, not exact. With"
            " --logprobs-mode raw_logits it returns logits.[/]"
        )
    return "\n".join(lines)


def _preset(inspection: Inspection, inspected: Inspected, width: int) -> RenderableType:
    mode = f", mode {escape(inspected.mode)}" if inspected.mode else ""
    parts: list[RenderableType] = ["", f"[bold cyan]{escape(inspected.preset.label)}[/]{mode}"]
    parts.append(_numbers(inspected))
    for snapshot, removed in zip(inspected.snapshots, inspected.removed, strict=True):
        if removed:
            more = " …" if len(snapshot.removed) > len(removed) else ""
            parts.append(Text(f"{snapshot.stage} removed: {'  '.join(removed)}{more}"))
    names = max((len(text) for _, text in inspection.tokens), default=0)
    together = max((width - min(names, 24) - 4) // (_BAR + 11), 1)
    for begin in range(0, len(inspected.snapshots), together):
        parts.append(_tokens(inspection, inspected.snapshots[begin : begin + together]))
    return Group(*parts)


def _numbers(inspected: Inspected) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("values", max_width=40)
    for head in ("kept", "removed", "mass", "moved", "entropy"):
        table.add_column(head, justify="right", no_wrap=True)
    for snapshot in inspected.snapshots:
        values = plain_values(snapshot.values)
        table.add_row(
            snapshot.stage or _MODEL,
            Text(", ".join(f"{name}={value}" for name, value in values.items())),
            f"{int(snapshot.kept.sum())}",
            f"{len(snapshot.removed)}" if snapshot.stage else "",
            f"{snapshot.removed_mass:.4f}" if snapshot.stage else "",
            f"{snapshot.moved:.4f}" if snapshot.stage else "",
            f"{snapshot.entropy:.3f}",
        )
    return table


def _tokens(inspection: Inspection, snapshots: list[Snapshot]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("token", max_width=24, no_wrap=True, overflow="ellipsis")
    for snapshot in snapshots:
        table.add_column(snapshot.stage or _MODEL, no_wrap=True, overflow="ellipsis")
    for token, text in inspection.tokens:
        cells = [Text(text)]
        for snapshot in snapshots:
            share = float(snapshot.probabilities[token])
            if snapshot.kept[token]:
                cells.append(Text.assemble((bar(share), "cyan"), f" {share:.4f}"))
            else:
                cells.append(Text(f"{'·':{_BAR}} removed", style="dim"))
        table.add_row(*cells)
    return table
