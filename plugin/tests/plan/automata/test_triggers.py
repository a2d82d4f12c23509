"""The automaton of triggers is built once and kept; triggers that can never match are found."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from temperament import Catalogue
from temperament.batch.mode_tables import KEPT, ModeAutomata
from temperament.batch.row_modes import Modes
from temperament.errors import PresetError
from temperament.plan.automata import cache, triggers
from temperament.plan.automata.mode_automaton import Switching, mode_automaton, unmatched
from temperament.plan.automata.patterns import MAX_STATES, Pattern, byte_automaton
from temperament.plan.automata.triggers import TriggerAutomaton, trigger_automaton
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import as_preset

LETTERS = TokenBytes(tuple(bytes([b]) for b in b"ab\n "), (), (), (("<end>", 3),))
KEY = (Pattern(b"ab"), Pattern(b"a", at_line_start=True), 2)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder, and an empty cache in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "folder", lambda: tmp_path)
        trigger_automaton.cache_clear()
        yield tmp_path
    trigger_automaton.cache_clear()


def same(one: TriggerAutomaton, other: TriggerAutomaton) -> bool:
    arrays = (
        "next",
        "event",
        "first_exception",
        "exception_token",
        "exception_next",
        "exception_event",
    )
    equal = [np.array_equal(getattr(one.tokens, n), getattr(other.tokens, n)) for n in arrays]
    return all(equal) and one.marks == other.marks


def problems(on: dict[str, Any], vocabulary: TokenBytes) -> list[str]:
    preset = {"modes": {"a": {}, "b": {}}, "switch": [{"from": "a", "on": on, "to": "b"}]}
    return [str(p) for p in unmatched(as_preset(preset, Catalogue({})), vocabulary)]


def switching_on(text: str) -> Switching:
    preset = {"modes": {"a": {}, "b": {}}, "switch": [{"on": {"text": text}, "to": "b"}]}
    switching = Switching.of(as_preset(preset, Catalogue({})))
    assert switching is not None
    return switching


class TestCache:
    """An automaton comes from memory, else from disk, else it is built."""

    def test_the_same_content_is_built_once(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process finds the same automaton on disk."""
        first = trigger_automaton(KEY, LETTERS)
        assert trigger_automaton(KEY, LETTERS) is first
        trigger_automaton.cache_clear()
        monkeypatch.setattr(triggers, "_Builder", lambda *_: pytest.fail("built again"))

        assert same(trigger_automaton(KEY, LETTERS), first)
        assert 1 == len(list(home.iterdir()))

    def test_other_content_is_another_table(self, home: Path) -> None:
        """Another text, flag or vocabulary is stored in another file."""
        trigger_automaton((Pattern(b"a"),), LETTERS)
        trigger_automaton((Pattern(b"a", at_line_start=True),), LETTERS)
        trigger_automaton((Pattern(b"b"),), LETTERS)
        trigger_automaton((Pattern(b"a"),), TokenBytes((b"a", b"b")))

        assert 4 == len(list(home.iterdir()))

    @pytest.mark.parametrize("wrong", [b"", b"nonsense", b"PK\x03\x04", "cut", "other"])
    def test_a_file_that_can_not_be_read_is_built_anew(self, home: Path, wrong: Any) -> None:
        """An empty, truncated or foreign file is no error, and is replaced."""
        first = trigger_automaton(KEY, LETTERS)
        (file,) = home.iterdir()
        raw = file.read_bytes()
        if wrong == "other":
            np.savez(file, next=np.zeros(3), lists=np.frombuffer(b"[[],[]]", dtype=np.uint8))
        else:
            file.write_bytes(raw[: len(raw) // 2] if wrong == "cut" else wrong)
        trigger_automaton.cache_clear()

        assert same(trigger_automaton(KEY, LETTERS), first)

    def test_several_at_once(self, home: Path) -> None:
        """Threads that build at once get equal automata, and leave one complete file."""
        built: list[TriggerAutomaton] = []
        work = [
            threading.Thread(
                target=lambda: built.append(trigger_automaton.__wrapped__(KEY, LETTERS))
            )
            for _ in range(8)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()

        assert 8 == len(built)
        assert all(same(one, built[0]) for one in built)
        assert [".npz"] == [file.suffix for file in home.iterdir()]

    def test_the_folder_is_bounded(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond its limit the folder loses the files that were not used for longest."""
        arrays = {"a": np.zeros(1000)}
        monkeypatch.setattr(cache, "MAX_BYTES", 20_000)
        for number in range(4):
            cache.store(str(number), arrays)
            time.sleep(0.02)
            cache.load("0")

        assert ["0", "3"] == sorted(file.stem for file in home.iterdir())

    def test_memory_is_bounded(self, home: Path) -> None:
        """The latest automata are kept; on a device also those in use."""
        automata = ModeAutomata()
        held = mode_automaton(switching_on("held"), LETTERS)
        automata.add(held, [held])
        for number in range(100):
            automaton = mode_automaton(switching_on(f"a{number}"), LETTERS)
            automata.add(automaton, [held, automaton])

        assert trigger_automaton.cache_info().currsize == triggers.KEPT
        assert mode_automaton.cache_info().currsize == mode_automaton.cache_info().maxsize == 64
        assert (KEPT,) == automata.tables.root.shape
        assert 0 == automata.number(held)

    def test_automata_in_use_are_found(self, home: Path) -> None:
        """A preset of another request is built once, however many others are in use."""
        modes = Modes(slots=140, vocabulary=lambda: LETTERS)
        for slot in range(140):
            modes.write(slot, switching_on(f"b{slot % 70}"))

        assert 70 == trigger_automaton.cache_info().misses
        assert (70,) == modes._automata.tables.root.shape

    def test_a_folder_that_can_not_be_written(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An automaton that can't be stored is built and returned all the same."""
        (home / "file").write_text("")
        monkeypatch.setattr(cache, "folder", lambda: home / "file" / "inside")

        assert trigger_automaton(KEY, LETTERS).tokens.states > 1


class TestADiskThatStalls:
    """A cache that gives no answer counts as none."""

    @pytest.fixture
    def stalled(self, home: Path) -> Iterator[Path]:
        """A file that no reader can open, as on a disk that stalls, until the test is over."""
        file = home / f"{triggers._key(KEY, LETTERS)}.npz"
        os.mkfifo(file)
        yield file
        if file.is_fifo():
            os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))
        for thread in cache._waiting:
            thread.join()

    def test_a_table_is_built_meanwhile(
        self, stalled: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a while a table is built; the next ones don't wait, until the disk answers."""
        monkeypatch.setattr(cache, "WAIT", 0.05)
        first = trigger_automaton(KEY, LETTERS)
        monkeypatch.setattr(cache, "WAIT", 60)
        begin = time.monotonic()
        trigger_automaton((Pattern(b"b"),), LETTERS)
        taken = time.monotonic() - begin
        os.close(os.open(stalled, os.O_RDWR | os.O_NONBLOCK))  # the disk answers
        for thread in cache._waiting:
            thread.join()
        stalled.unlink()
        trigger_automaton((Pattern(b"ba"),), LETTERS)

        assert first.tokens.states > 1
        assert taken < 30
        assert 1 == len(list(stalled.parent.iterdir()))

    def test_other_requests_have_their_threads(
        self, stalled: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Work that waits for the cache in all threads gives them back."""
        monkeypatch.setattr(cache, "WAIT", 0.05)
        with ThreadPoolExecutor(4) as threads:
            waiting = [threads.submit(trigger_automaton, KEY, LETTERS) for _ in range(16)]
            other = threads.submit(int, "7")

            assert 7 == other.result(5)
            assert all(same(each.result(10), waiting[0].result()) for each in waiting)


class TestWhatCanNeverMatch:
    """Triggers that a vocabulary doesn't spell are problems."""

    def test_texts(self) -> None:
        """One text of a rule suffices; a text alone in its line needs a token with a newline."""
        assert [] == problems({"text": "ab"}, LETTERS)
        assert [] == problems({"text": ["xyz", "b"]}, LETTERS)
        assert [
            "switch.0.on: can never match: the tokens of this vocabulary don't spell it;"
            " given: ['abc']"
        ] == problems({"text": "abc"}, LETTERS)
        no_lines = TokenBytes((b"a", b"b"))
        assert 1 == len(problems({"end_of": "a"}, no_lines))
        assert [] == problems({"text": "a", "at_line_start": True}, no_lines)
        assert 1 == len(problems({"text": "a", "at_line_start": True}, TokenBytes((b"ba",))))

    def test_tokens(self) -> None:
        """An id must be below the vocabulary's size, and a name must be that of an added token."""
        assert [] == problems({"token": 3}, LETTERS)
        assert [] == problems({"token": "<end>"}, LETTERS)
        assert ["switch.0.on.token: no such token; given: 4; allowed: ids below 4"] == problems(
            {"token": 4}, LETTERS
        )
        assert [
            "switch.0.on.token: no such token; given: '<ent>'; did you mean '<end>'?"
        ] == problems({"token": "<ent>"}, LETTERS)

    def test_a_special_token_matches_by_its_whole_text(self) -> None:
        """A part of a special token's name never matches."""
        special = TokenBytes((b"a", b""), (), ((1, b"</think>"),))

        assert [] == problems({"text": "</think>"}, special)
        assert [] == problems({"text": "a</think>a"}, special)
        assert 1 == len(problems({"text": "think"}, special))


def test_too_many_states() -> None:
    """Texts that need too many states are refused with the limit."""
    random = Random(0)
    patterns = [Pattern(random.randbytes(128)) for _ in range(60)]
    with pytest.raises(PresetError, match=f"more than {MAX_STATES} states"):
        byte_automaton(patterns)


def test_a_large_vocabulary() -> None:
    """Four triggers over 262,144 tokens have fewer exceptions than tokens, and a small row."""
    random = Random(0)
    letters = b"abcdefghijklmnopqrstuvwxyz `<>/\n"
    tokens = tuple(bytes(random.choices(letters, k=random.randint(1, 9))) for _ in range(262_144))
    vocabulary = TokenBytes(tokens)
    fields = {"modes": {"a": {}, "b": {}}, "switch": [
        {"from": "a", "on": {"text": "```", "at_line_start": True}, "to": "b"},
        {"from": "b", "on": {"end_of": "```"}, "to": "back"},
        {"from": "a", "on": {"text": "<think>"}, "to": "b"},
        {"from": "b", "on": {"text": "</think>"}, "to": "a"},
    ]}  # fmt: skip
    switching = Switching.of(as_preset(fields, Catalogue({})))
    assert switching is not None
    table = mode_automaton(switching, vocabulary).triggers
    automaton = table.tokens

    assert 262_144 == table.size
    assert automaton.next.nbytes + automaton.event.nbytes < 2_000_000
    assert len(automaton.exception_token) < len(automaton.next)
