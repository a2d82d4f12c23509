"""The example of docs/automata.md is true, and the same in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from temperament.plan.automata.mode_automaton import ModeAutomaton, Switching, mode_automaton
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset, as_preset
from temperament.presets.source import parse
from tests.plan.switches import NOTHING, search

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = [DOCS / "automata.md", DOCS / "automata.zh-CN.md"]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def table(page: Path, name: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    text = page.read_text(encoding="utf-8")
    part = re.search(rf"<!-- automata-{name} -->\n(.*?)<!-- /", text, re.DOTALL)
    assert part is not None
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in part[1].splitlines()[2:]]


def unquoted(cell: str) -> bytes:
    """The bytes that a cell shows."""
    return cell.strip("`").replace("\\n", "\n").encode()


def preset(page: Path) -> Preset:
    """The page's preset."""
    block = re.search(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    assert block is not None
    return as_preset(parse(block[1].encode(), page.name).data, NOTHING)


def vocabulary(page: Path) -> TokenBytes:
    """The page's vocabulary."""
    return TokenBytes(tuple(unquoted(row[1]) for row in table(page, "tokens")))


def automaton(page: Path) -> ModeAutomaton:
    """The automata of the page's preset over its vocabulary."""
    switching = Switching.of(preset(page))
    assert switching is not None
    return mode_automaton(switching, vocabulary(page))


@every_page
def test_the_states_are_those_of_the_automaton(page: Path) -> None:
    """Each state has begun, ends and forgets what the page says."""
    actual = automaton(page).triggers.bytes
    texts = [b"~~", b"~~", b"!!"]
    expected = []
    for state in range(actual.states):
        begun = ", ".join(
            f"{'ABC'[p]}: `{texts[p][:count].decode()}`" for p, count in sorted(actual.begun[state])
        )
        ends = ", ".join("ABC"[p] for p in sorted(actual.ends[state]))
        expected.append([str(state), begun, ends, str(actual.after_switch[state])])

    assert expected == table(page, "states")


@every_page
def test_each_token_leads_where_its_bytes_lead(page: Path) -> None:
    """Each token of the page leads where its bytes lead, and a star is an end within it."""
    by_bytes = automaton(page).triggers.bytes
    for _, spelled, plain, exceptions in table(page, "tokens"):
        listed = dict(re.findall(r"(\d+) → (\d+\*?)", exceptions))
        for first in range(by_bytes.states):
            state, star = first, ""
            for byte in unquoted(spelled):
                state = int(by_bytes.next[state, byte])
                star = star or "*" * bool(by_bytes.ends[state])

            assert f"{state}{star}" == listed.get(str(first), plain)


@every_page
def test_what_ends_in_a_token_ends_in_its_text(page: Path) -> None:
    """What the page says ends in a token is what a search finds in its text."""
    text = {"A": rb"(?m)^[ \t]*(~~)", "B": rb"(?m)^[ \t]*(~~[ \t\r]*\n)", "C": rb"(!!)"}
    expected = []
    for spelled in vocabulary(page).tokens:
        found = [(m.end(1), name) for name, t in text.items() for m in re.finditer(t, spelled)]
        expected += [(spelled, name, str(end), spelled[end:]) for end, name in sorted(found)]

    assert expected == [
        (unquoted(token), ends, count, unquoted(rest))
        for token, ends, count, rest in table(page, "events")
    ]


@every_page
def test_the_modes_of_the_text_are_those_of_a_plain_search(page: Path) -> None:
    """Token by token; and each token begins in the state in which the one before ended."""
    rows = table(page, "walk")
    tokens = vocabulary(page)
    output = [tokens.tokens.index(unquoted(token)) for token, *_ in rows]
    switches = search(replace(preset(page), start="text"), tokens, output)
    mode, expected = "text", []
    for count in range(1, len(output) + 1):
        mode = next((after for at, _, _, after in reversed(switches) if at == count), mode)
        expected.append(f"`{mode}`")

    assert expected == [mode for *_, mode in rows]
    assert ["1", *(after for _, _, after, _ in rows[:-1])] == [before for _, before, _, _ in rows]


def test_the_languages_show_the_same_tables() -> None:
    """Numbers and signs are equal; only the heads are translated."""
    for name in ("states", "tokens", "events", "choice", "walk"):
        first, second = (table(page, name) for page in PAGES)

        assert first == second
