"""A short form of `scripts/evaluate_modes`, and what it measures."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripts.lib.evaluate_modes import answers as asking
from scripts.lib.evaluate_modes import measures
from scripts.lib.evaluate_modes.tables import tables

from integration_tests.harness.server import Server

ANSWER = """A sum, `a + b`:

```python
def add(a, b):
    return a + b
```

It adds. Next:

```python
def add(a, b)
```
Then:
```python
open
"""


def test_code_and_prose_are_told_apart() -> None:
    """Closed Python fences are code; text outside of fences and backticks is prose."""
    assert [True, False] == [measures.parses(code) for code in measures.blocks(ANSWER)]
    spoken = ["a", "sum", ",", ":", "it", "adds", ".", "next", ":", "then", ":"]
    assert spoken == measures.prose(ANSWER)


def test_diversity() -> None:
    """Equal texts have a self-BLEU of 1, texts without a common word have 0."""
    same, other = list("abcdef"), list("uvwxyz")

    assert math.isclose(1, measures.self_bleu([same, same]))
    assert 0 == measures.self_bleu([same, other])
    assert 0.5 == measures.distinct_2([same, same])
    assert 1 == measures.distinct_2([same, other])


def test_loops() -> None:
    """The same eight words three times are a loop, twice they aren't."""
    words = "one two three four five six seven eight "

    assert measures.loops(words * 3)
    assert not measures.loops(words * 2)


def test_there_are_enough_prompts() -> None:
    """The study has at least 200 prompts for code, all of them different."""
    assert 200 <= len(asking.prompts("coding")) == len(set(asking.prompts("coding")))


def test_a_short_study(v1_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two prompts of each kind give a number with its interval for every condition."""
    monkeypatch.setattr(asking, "TOKENS", {"coding": 12, "open": 12})
    asked = asking.questions(2)
    with ThreadPoolExecutor(len(asked)) as pool:
        texts = list(pool.map(lambda one: asking.ask(v1_server, one[0], one[1], one[2]), asked))
    answers = {key: text for (key, _, _), text in zip(asked, texts, strict=True)}
    numbers = measures.measure(answers)

    assert all(answers.values())
    assert [2] * len(asking.CODING) == [row["answers"] for row in numbers["coding"]]
    for row in (*numbers["coding"], *numbers["open"]):
        value, low, high = row["loops"]
        assert 0 <= low <= value <= high <= 1
    assert all(tables(numbers, language) for language in ("en", "zh"))
