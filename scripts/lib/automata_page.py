"""The drawing and the tables of docs/automata.md, from the automata of the page's own example."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from scripts.lib.command import ROOT

from temperament.plan.automata.mode_automaton import (
    NO_RULE,
    ModeAutomaton,
    Switching,
    mode_automaton,
)
from temperament.plan.automata.patterns import ByteAutomaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.automata.triggers import NO_TOKEN
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, as_preset
from temperament.presets.source import parse

PAGE = ROOT / "docs" / "automata.md"
DRAWING = ROOT / "docs" / "images" / "automaton.svg"
VOCABULARY = (b"a", b"!", b"\n", b"~", b"~~\n", b"a!", b"!a", b"\n~~\n~~\n")
# The text of the walk, as token ids.
WALK = (4, 5, 2, 3, 3, 2, 5, 6)

HEADS = {
    "en": {
        "states": ("state", "begun", "ends", "after a switch"),
        "tokens": ("id", "token", "from state 0", "exceptions"),
        "events": ("token", "ends", "after so many bytes", "rest"),
        "choice": ("pattern", "in mode", "leads to"),
        "walk": ("token", "state before", "state after", "mode after"),
    },
    "zh": {
        "states": ("状态", "已开始", "结束", "切换之后"),
        "tokens": ("id", "词元", "从状态 0 出发", "例外"),
        "events": ("词元", "结束", "之后的字节数", "余下部分"),
        "choice": ("样式", "所处模式", "转到"),
        "walk": ("词元", "之前的状态", "之后的状态", "之后的模式"),
    },
}


def example() -> ModeAutomaton:
    """The automata of the page's preset over its vocabulary."""
    block = re.search(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert block is not None
    switching = Switching.of(as_preset(parse(block[1].encode(), PAGE.name).data, Catalogue({})))
    assert switching is not None
    return mode_automaton(switching, TokenBytes(VOCABULARY))


def automata_tables(language: str) -> dict[str, str]:
    """The tables of the page by name."""
    automaton = example()
    tables = {
        "states": states(automaton),
        "tokens": tokens(automaton),
        "events": events(automaton),
        "choice": choices(automaton),
        "walk": walk(automaton),
    }
    return {
        f"automata-{name}": _table(HEADS[language][name], rows) for name, rows in tables.items()
    }


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def written(text: bytes) -> str:
    """Bytes as the page shows them."""
    return text.decode().replace("\n", "\\n").replace(" ", "␣")


def code(text: bytes) -> str:
    """The same in a cell."""
    return f"`{written(text)}`" if text else ""


def letters(automaton: ModeAutomaton) -> list[str]:
    """The letter of each pattern, in the order of the rules."""
    count = sum(len(rule.on.texts) for rule in automaton.switching.rules)
    return [chr(ord("A") + number) for number in range(count)]


def states(automaton: ModeAutomaton) -> Sequence[tuple[str, ...]]:
    """Each state of the automaton over bytes."""
    table, names = automaton.triggers.bytes, letters(automaton)
    texts = [text.encode() for rule in automaton.switching.rules for text in rule.on.texts]
    return [
        (
            str(state),
            ", ".join(f"{names[p]}: {code(texts[p][:n])}" for p, n in sorted(table.begun[state])),
            ", ".join(names[p] for p in sorted(table.ends[state])),
            str(table.after_switch[state]),
        )
        for state in range(table.states)
    ]


def tokens(automaton: ModeAutomaton) -> Sequence[tuple[str, ...]]:
    """Each token: where it leads from state 0, and from which states it leads elsewhere."""
    table = automaton.triggers.tokens
    rows = []
    for token, spelled in enumerate(VOCABULARY):
        exceptions = []
        for state in range(table.states):
            first, last = table.first_exception[state : state + 2]
            at = [i for i in range(first, last) if table.exception_token[i] == token]
            exceptions += [
                f"{state} → {table.exception_next[i]}{'*' * bool(table.exception_event[i])}"
                for i in at
            ]
        plain = f"{table.next[token]}{'*' * bool(table.event[token])}"
        rows.append((str(token), code(spelled), plain, ", ".join(exceptions)))
    return rows


def events(automaton: ModeAutomaton) -> Sequence[tuple[str, ...]]:
    """What ends within the tokens in which something ends, from the start of a line."""
    triggers, names = automaton.triggers, letters(automaton)
    start, rows = triggers.bytes.start, []
    for token, spelled in enumerate(VOCABULARY):
        _, event = triggers.step(start, token)
        for end, mark in event:
            ended = ", ".join(names[d] for d in sorted(triggers.marks[mark][0]))
            rest = triggers.rest(token, end)
            left = code(spelled[end:]) if rest != NO_TOKEN else ""
            rows.append((code(spelled), ended, str(end), left))
    return rows


def choices(automaton: ModeAutomaton) -> Sequence[tuple[str, ...]]:
    """In which mode the end of each pattern leads to which mode."""
    triggers, names = automaton.triggers, letters(automaton)
    rules, modes = automaton.switching.rules, automaton.switching.modes
    found = set()
    for mark, (ended, _) in enumerate(triggers.marks):
        for mode, name in enumerate(modes):
            rule = int(automaton.choice[mark, mode])
            if rule != NO_RULE and rule in ended:  # one text for each rule here
                found.add((rule, name))
    return [(names[rule], f"`{name}`", f"`{rules[rule].to}`") for rule, name in sorted(found)]


def walk(automaton: ModeAutomaton) -> Sequence[tuple[str, ...]]:
    """The states and modes of the example's text."""
    tracer, rows = Tracer(automaton), []
    for token in WALK:
        before = tracer.state
        tracer.read([token])
        mode = automaton.switching.modes[tracer.mode]
        rows.append((code(VOCABULARY[token]), str(before), str(tracer.state), f"`{mode}`"))
    return rows


SIZE, COLUMN, LINE, TOP, RADIUS = (720, 300), 200, 95, 65, 22
STYLE = """
  text { font: 14px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #222 }
  .label { font: 13px monospace; paint-order: stroke; stroke: #fff; stroke-width: 5px }
  circle { fill: #eef3fb; stroke: #35507a; stroke-width: 1.5px }
  .end { stroke-width: 4px }
  path { fill: none; stroke: #35507a; stroke-width: 1.3px; marker-end: url(#arrow) }
  .switch { stroke: #a04a00; stroke-dasharray: 5 4 }
"""


def arrows(table: ByteAutomaton) -> dict[tuple[int, int], bytes]:
    """(from, to) -> the bytes with which a pattern begins or goes on."""
    idle = range(table.start + 1)
    found: dict[tuple[int, int], bytes] = {}
    for state in range(table.states):
        # The other bytes do what they do where no pattern has begun, inside a line or at its start.
        like = min(idle, key=lambda i: int((table.next[state] != table.next[i]).sum()))
        for byte in b"!~\n ":
            after = int(table.next[state, byte])
            if state in idle or after != table.next[like, byte]:
                found[state, after] = found.get((state, after), b"") + bytes([byte])
    return {pair: text for pair, text in found.items() if pair not in {(0, 0), (1, 0)}}


def positions(table: ByteAutomaton) -> dict[int, tuple[int, int]]:
    """Where each state is drawn: a column for each byte that is matched."""
    column = dict.fromkeys(range(table.start + 1), 0)
    waiting = list(column)
    for state in waiting:
        following = [after for before, after in arrows(table) if before == state]
        for after in (*following, table.after_switch[state]):
            if after not in column:
                column[after] = column[state] + (after in following)
                waiting.append(after)
    # A state after a switch stands below the state in which the switch happened.
    found: dict[int, tuple[int, int]] = {}
    height: dict[int, int] = {}
    for state in sorted(column):
        x = column[state]
        found[state] = (60 + COLUMN * x, TOP + LINE * height.get(x, 0))
        height[x] = height.get(x, 0) + 1
    return found


def drawing() -> str:
    """The automaton over bytes as SVG."""
    table = example().triggers.bytes
    at = positions(table)
    lines = list(_lines(table, at))
    for state, (x, y) in at.items():
        end = ' class="end"' if table.ends[state] else ""
        lines.append(f'<circle cx="{x}" cy="{y}" r="{RADIUS}"{end}/>')
        lines.append(f'<text x="{x}" y="{y}">{state}</text>')
    width, height = SIZE
    body = "\n".join(f"  {line}" for line in lines)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
  <title>The states of the example and the bytes between them</title>
  <style>{STYLE}  </style>
  <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
    orient="auto">
    <path d="M0 0 8 4 0 8z" style="fill: #35507a; stroke: none; marker-end: none"/>
  </marker>
  <rect width="{width}" height="{height}" rx="8" fill="#fff"/>
{body}
</svg>
"""


def _lines(table: ByteAutomaton, at: dict[int, tuple[int, int]]) -> Iterator[str]:
    pairs = arrows(table)
    for (before, after), text in pairs.items():
        label = escape(" ".join(written(bytes([byte])) for byte in text))
        yield from _arrow(at[before], at[after], label, bent=(after, before) in pairs)
    for before, after in enumerate(table.after_switch):
        if after != before and table.begun[before] and after > table.start:
            yield from _arrow(at[before], at[after], "", kind=' class="switch"')


def _arrow(
    start: tuple[int, int], end: tuple[int, int], label: str, *, bent: bool = False, kind: str = ""
) -> Iterator[str]:
    (x1, y1), (x2, y2) = start, end
    if start == end:
        side = -1 if y1 == TOP else 1  # above the first line, below the others
        near, far = y1 + side * 19, y1 + side * 55
        yield f'<path d="M{x1 - 12} {near} C{x1 - 28} {far} {x1 + 28} {far} {x1 + 12} {near}"/>'
        yield f'<text class="label" x="{x1}" y="{y1 + side * 47}">{label}</text>'
        return
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    bend = 14 if bent else 0
    middle = (x1 + x2) / 2 - bend * dy, (y1 + y2) / 2 + bend * dx
    points = (
        f"M{x1 + RADIUS * dx:.0f} {y1 + RADIUS * dy:.0f}"
        f" Q{middle[0]:.0f} {middle[1]:.0f} {x2 - RADIUS * dx:.0f} {y2 - RADIUS * dy:.0f}"
    )
    yield f'<path{kind} d="{points}"/>'
    if label:
        yield f'<text class="label" x="{middle[0]:.0f}" y="{middle[1]:.0f}">{label}</text>'
