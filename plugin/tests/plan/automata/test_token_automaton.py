"""Texts are found in any segmentation, where a plain search in the joined bytes finds them."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from temperament.batch import texts as tables
from temperament.batch.texts import TextTables
from temperament.ops.history import History
from temperament.plan.automata.patterns import Pattern, byte_automaton
from temperament.plan.automata.token_automaton import TokenAutomaton, token_automaton
from temperament.plan.vocabulary import TokenBytes
from tests.examples import examples
from tests.plain import completes, spelt

# Few letters, so that texts overlap; letters of one, two and three bytes.
LETTERS = ["a", "b", "\n", "é", "è", "的"]


def some_text(random: Random, letters: int = 5) -> str:
    return "".join(random.choices(LETTERS, k=random.randint(1, letters)))


def some_vocabulary(random: Random) -> TokenBytes:
    """Pieces of text cut anywhere, also inside a letter; single bytes; tokens without bytes."""
    tokens = [bytes([byte]) for byte in "".join(LETTERS).encode()]
    for _ in range(random.randint(0, 30)):
        whole = some_text(random, 6).encode()
        cut = sorted(random.choices(range(len(whole) + 1), k=2))
        tokens.append(whole[cut[0] : cut[1]])
    random.shuffle(tokens)
    return TokenBytes(tuple(tokens))


def some_texts(random: Random) -> tuple[str, ...]:
    """Texts and suffixes of them."""
    texts = [some_text(random) for _ in range(random.randint(1, 4))]
    return tuple(sorted({*texts, *(text[random.randrange(len(text)) :] for text in texts)}))


def step_of(automaton: TokenAutomaton, state: int, token: int) -> tuple[int, bool]:
    """(next state, hit) of a token from a state, found by a walk through the exceptions."""
    exceptions = slice(automaton.first_exception[state], automaton.first_exception[state + 1])
    for number, place in zip(
        automaton.exception_token[exceptions], range(exceptions.start, exceptions.stop), strict=True
    ):
        if number == token:
            return int(automaton.exception_next[place]), bool(automaton.exception_hit[place])
    return int(automaton.next[token]), bool(automaton.hit[token])


@given(seed=st.integers(0, 2**32))
@examples(150)
def test_any_segmentation(seed: int) -> None:
    """A text ends within a token if it ends in the bytes; one without bytes leads to state 0."""
    random = Random(seed)
    vocabulary, texts = some_vocabulary(random), some_texts(random)
    automaton = token_automaton([text.encode() for text in texts], vocabulary)
    ids = random.choices(range(len(vocabulary)), k=30)
    state = 0
    for before, token in zip(spelt(ids, vocabulary.tokens), ids, strict=False):
        spelling = vocabulary.tokens[token]
        after, hit = step_of(automaton, state, token)
        assert hit == bool(spelling and completes(before, spelling, texts))
        state = after if spelling else 0
        assert after == state


@given(seed=st.integers(0, 2**32))
@examples(150)
def test_every_state_and_token(seed: int) -> None:
    """Each token leads from each state where its bytes lead one by one."""
    random = Random(seed)
    vocabulary = some_vocabulary(random)
    raw = [text.encode() for text in some_texts(random)]
    table = byte_automaton([Pattern(text) for text in raw])
    automaton = token_automaton(raw, vocabulary)
    assert automaton.states == table.states
    for first in range(table.states):
        for token, spelling in enumerate(vocabulary.tokens):
            state, hit = first if spelling else 0, False
            for byte in spelling:
                state = int(table.next[state, byte])
                hit |= bool(table.ends[state])
            assert (state, hit) == step_of(automaton, first, token)


def test_no_texts_and_no_tokens() -> None:
    """No texts and no vocabulary give an automaton that finds nothing."""
    nothing = token_automaton([], TokenBytes((b"a", b"")))
    assert (1, [0, 0], [False] * 2) == (nothing.states, nothing.next.tolist(), nothing.hit.tolist())
    assert 3 == token_automaton([b"ab"], TokenBytes(())).states


def test_the_longest_texts_that_a_preset_may_have() -> None:
    """500 bytes over 100,000 tokens have few exceptions."""
    random = Random(0)
    vocabulary = TokenBytes(
        tuple(bytes(random.choices(b"abcdefgh ", k=random.randint(1, 8))) for _ in range(100_000))
    )
    automaton = token_automaton([bytes(random.choices(b"abcdefgh ", k=100))] * 5, vocabulary)

    assert len(automaton.exception_token) < 0.03 * automaton.states * len(vocabulary)


def history(ids: list[list[int]], starts: list[int]) -> History:
    longest = max(map(len, ids), default=0) + 2
    tokens = torch.tensor([[0] * s + row_ids + [0] * (longest - len(row_ids) - s)
                           for s, row_ids in zip(starts, ids, strict=True)])  # fmt: skip
    begin = torch.tensor(starts)
    return History(tokens, begin, begin, begin + torch.tensor([len(row_ids) for row_ids in ids]))


class TestTables:
    """The automata of several sets of texts in one table, with a set for each row."""

    @given(seed=st.integers(0, 2**32), most=st.integers(1, 4))
    @examples(50)
    def test_rows_with_different_sets(self, seed: int, most: int) -> None:
        """Each row finds what a search finds, while sets are added and dropped."""
        random = Random(seed)
        vocabulary = some_vocabulary(random)
        size = len(vocabulary)
        text_tables = TextTables(vocabulary)
        used: list[tuple[str, ...]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables, "MAX_SETS", most)
            for _ in range(random.randint(1, 8)):
                chosen = random.choice([some_texts(random), ()])
                used = [*random.sample(used, random.randint(0, len(used))), chosen]
                text_tables.add(chosen, used[:-1])
        text_tables.add(used[-1])
        starts = [random.randint(0, 1) for _ in used]
        ids = [random.choices([*range(size), -1, size, 2**31], k=random.randint(0, 12))
               for _ in used]  # fmt: skip
        given_ids, texts = history(ids, starts), text_tables.texts(used)
        last_hit = texts.last_hit(given_ids)
        every = torch.arange(size + 3).expand(len(used), -1)
        ends = texts.ending(given_ids, given_ids.start, size + 3)
        row_of = torch.arange(len(used))[:, None].expand(every.shape)
        next_ = texts.completes(given_ids, row_of.flatten(), every.flatten()).view(every.shape)

        assert torch.equal(ends, next_)
        for row, (row_ids, start) in enumerate(zip(ids, starts, strict=True)):
            *before, all_of_it = spelt(row_ids, vocabulary.tokens)

            def found(token: int, text: bytes, row: int = row) -> bool:
                known = vocabulary.tokens[token] if 0 <= token < size else b""
                return bool(known) and completes(text, known, used[row])

            places = [start + i for i, token in enumerate(row_ids) if found(token, before[i])]
            assert int(last_hit[row]) == max(places, default=-1)
            assert torch.where(ends[row])[0].tolist() == [
                token for token in range(size) if found(token, all_of_it)
            ]

    def test_sets_out_of_use_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sets out of use are dropped when there are too many, and not before."""
        monkeypatch.setattr(tables, "MAX_SETS", 3)
        text_tables = TextTables(TokenBytes((b"a", b"b")))
        for number, texts in enumerate((("a",), ("b",), ("ab",))):
            text_tables.add(texts)
            assert len(text_tables) == number + 1
        text_tables.add(("ba",), in_use=[("b",), ("b",)])

        assert 2 == len(text_tables)
        assert 1 == text_tables.texts([("b",), ("ba",)]).window

    def test_fewer_logits_than_tokens(self) -> None:
        """The mask is as wide as the logits, which may be fewer than the tokens."""
        text_tables = TextTables(TokenBytes((b"a", b"b", b"ab")))
        text_tables.add(("b",))
        texts = text_tables.texts([("b",)])

        assert [[False, True]] == texts.ending(history([[]], [0]), torch.tensor([0]), 2).tolist()

    def test_a_set_is_built_once(self) -> None:
        """A set that is added again is not built again."""
        text_tables = TextTables(TokenBytes((b"a",)))
        for _ in range(3):
            text_tables.add(("a",))

        assert 1 == len(text_tables)

    def test_no_vocabulary(self) -> None:
        """Without a vocabulary no text ever ends."""
        text_tables = TextTables(TokenBytes(()))
        text_tables.add(("ab",))
        texts = text_tables.texts([("ab",)])
        past = history([[0, 1]], [0])

        assert [-1] == texts.last_hit(past).tolist()
        assert not texts.ending(past, past.start, 3).any()
        assert not texts.completes(past, torch.tensor([0]), torch.tensor([1])).any()


def test_a_byte_automaton_of_texts_that_contain_each_other() -> None:
    """`he`, `she` and `hers`, the example of Aho and Corasick, are found where they end."""
    table = byte_automaton([Pattern(b"he"), Pattern(b"she"), Pattern(b"hers")])
    found = []
    state = 0
    for place, byte in enumerate(b"ushers"):
        state = int(table.next[state, byte])
        if table.ends[state]:
            found.append(place)

    assert [3, 5] == found
    assert table.next.dtype == np.int16
