"""A traced text switches where a plain search says, however it is cut into tokens."""

from collections.abc import Iterator
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temperament.plan.automata import cache
from temperament.plan.automata.mode_automaton import Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer, spans
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, as_preset
from temperament.presets.modes import MAX_DEPTH
from tests.examples import examples
from tests.plan.switches import NOTHING, search, some_preset, some_vocabulary


@pytest.fixture(scope="module", autouse=True)
def _nothing_on_disk() -> Iterator[None]:
    """Automata of random presets are not stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "load", lambda _: None)
        patch.setattr(cache, "store", lambda *_: None)
        yield


@given(seed=st.integers(0, 2**32))
@examples(50)
def test_the_switches_are_those_of_a_plain_search(seed: int) -> None:
    """With random vocabularies, triggers and texts, every switch is at the same byte."""
    random = Random(seed)
    vocabulary = some_vocabulary(random)
    preset = some_preset(random, vocabulary)
    switching = Switching.of(preset)
    assert switching is not None
    text = Tracer(mode_automaton.__wrapped__(switching, vocabulary))
    output = random.choices(range(len(vocabulary)), k=40)
    text.read(output)
    names = switching.modes

    assert search(preset, vocabulary, output) == [
        (switch.token, switch.byte, names[switch.source], names[switch.target])
        for switch in text.switches
    ]


BYTES = TokenBytes(tuple(bytes([byte]) for byte in range(128)))
FENCES = {
    "modes": {"text": {}, "code": {"temperature": 0}},
    "switch": [
        {"from": "text", "on": {"text": "```", "at_line_start": True}, "to": "code"},
        {"from": "code", "on": {"end_of": "```"}, "to": "back"},
    ],
}


@pytest.mark.parametrize("whole", [False, True], ids=["byte by byte", "one token"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```py\nb\n```\nc", [("text", "a\n```"), ("code", "py\nb\n```\n"), ("text", "c")]),
        ("```\nb\n```\nc", [("text", "```"), ("code", "\nb\n```\n"), ("text", "c")]),
        ("```    \n```  \nc", [("text", "```"), ("code", "    \n```  \n"), ("text", "c")]),
        ("```x\nb```\n ```\nc", [("text", "```"), ("code", "x\nb```\n ```\n"), ("text", "c")]),
        ("a ```b", [("text", "a ```b")]),
    ],
)  # fmt: skip
def test_fences(text: str, expected: list[tuple[str, str]], whole: bool) -> None:
    """An opening fence is not its own end, with or without a language, however it is cut."""
    switching = Switching.of(as_preset(FENCES, NOTHING))
    assert switching is not None
    raw = text.encode()
    vocabulary = TokenBytes((*BYTES.tokens, raw)) if whole else BYTES
    follower = Tracer(mode_automaton(switching, vocabulary))
    follower.read([128] if whole else list(raw))
    if whole:
        names = switching.modes
        assert [mode for mode, _ in expected[1:]] == [names[s.target] for s in follower.switches]
        ends = list(accumulate(len(part.encode()) for _, part in expected))
        assert [switch.byte for switch in follower.switches] == ends[:-1]
    else:
        assert expected == [(m, raw[a:b].decode()) for m, a, b in spans(follower)]


def test_the_prompt_is_read_from_its_last_turn_on() -> None:
    """Earlier turns don't count; a special token that is a marker begins no turn."""
    special = ((0, b"<|turn|>"), (1, b"<think>"))
    vocabulary = TokenBytes((b"", b"", *BYTES.tokens[2:]), (), special)
    fields = {"modes": {"answer": {}, "think": {"top_k": 5}}, "start": "auto",
             "switch": [{"from": "answer", "on": "reasoning.start", "to": "think"},
                        {"from": "think", "on": "reasoning.end", "to": "answer"}]}  # fmt: skip
    switching = Switching.of(as_preset(fields, NOTHING))
    assert switching is not None

    def mode(*prompt: int) -> str:
        text = Tracer(mode_automaton(switching, vocabulary))
        text.read_prompt(prompt)
        return switching.modes[text.mode]

    assert "answer" == mode(0, *b"hi")
    assert "answer" == mode(1, 0, *b"hi")
    assert "think" == mode(0, *b"hi", 1, *b"so")
    assert "answer" == mode(0, *b"<think>", *b"a</think>")
    assert "answer" == mode()


def test_a_turn_of_deepseek() -> None:
    """DeepSeek's `<｜User｜>` and `<｜Assistant｜>`, which aren't special, begin turns."""
    names = ("<｜User｜>", "<｜Assistant｜>", "<tool_call>")
    tokens = (*BYTES.tokens, *(name.encode() for name in names))
    vocabulary = TokenBytes(tokens, added=tuple((n, 128 + i) for i, n in enumerate(names)))
    user, assistant, call = 128, 129, 130
    switching = Switching.of(as_preset({**FENCES, "start": "auto"}, NOTHING))
    assert switching is not None

    def mode(*prompt: int) -> str:
        text = Tracer(mode_automaton(switching, vocabulary))
        text.read_prompt(prompt)
        return switching.modes[text.mode]

    assert "text" == mode(user, *b"mend\n```py\nx=(", assistant)
    assert "code" == mode(user, *b"mend it", assistant, *b"So:\n```py\n")
    assert "code" == mode(user, *b"mend it", assistant, *b"So:\n```py\n", call)


def test_back_has_a_bound() -> None:
    """The oldest of too many modes are forgotten; without a mode before, `back` does nothing."""
    fields = {"modes": {"a": {}, "b": {"top_k": 1}}, "switch": [
        {"from": ["a", "b"], "on": {"text": "("}, "to": "b"},
        {"from": ["a", "b"], "on": {"text": ")"}, "to": "back"}]}  # fmt: skip
    switching = Switching.of(as_preset(fields, NOTHING))
    assert switching is not None
    text = Tracer(mode_automaton(switching, BYTES))
    text.read(b")" + b"(" * (MAX_DEPTH + 3))
    assert (1, MAX_DEPTH, MAX_DEPTH + 3) == (text.mode, len(text.stack), len(text.switches))
    text.read(b")" * (MAX_DEPTH + 3))

    assert (1, [], 2 * MAX_DEPTH + 3) == (text.mode, text.stack, len(text.switches))


def test_before_the_last_token() -> None:
    """A token that may complete the trigger is drawn in the new mode, and is its own if it does."""
    fields = {"modes": {"a": {}, "b": {"top_k": 1}}, "switch": [
        {"from": "a", "on": {"text": "xyz"}, "to": "b", "effect": "before"}]}  # fmt: skip
    switching = Switching.of(as_preset(fields, NOTHING))
    assert switching is not None
    text = Tracer(mode_automaton(switching, BYTES))
    drawn = []
    for byte in b"xyxyz.":
        drawn.append(text.drawn_in)
        text.read([byte])

    assert [0, 0, 1, 0, 1, 1] == drawn
    assert [(4, 1)] == [(s.token, s.byte) for s in text.switches]
    assert [("a", 0, 4), ("b", 4, 6)] == spans(text)


def test_the_shipped_coding_assistant() -> None:
    """`coding-assistant` finds fences with and without a language and of tildes, no others."""
    preset = Catalogue.load(environment=False)["coding-assistant"]
    switching = Switching.of(preset)
    assert switching is not None
    raw = b"So `x` is:\n```\na `b`\n```\nand\n  ```py\nc\n  ```\nor ```d``` it`s\n~~~\ne\n~~~\n."
    for tokens in (list(raw), [128]):
        follower = Tracer(mode_automaton(switching, TokenBytes((*BYTES.tokens, raw))))
        follower.read(tokens)
        fences = [
            s.byte for s in follower.switches if "fence" in (switching.modes[s.source],
                                                             switching.modes[s.target])
        ]  # fmt: skip

        assert 6 == len(fences)
    found = Tracer(mode_automaton(switching, TokenBytes(BYTES.tokens)))
    found.read(raw)
    inside = [raw[a:b].decode() for mode, a, b in spans(found) if mode == "fence"]

    assert ["\na `b`\n```\n", "py\nc\n  ```\n", "\ne\n~~~\n"] == inside
