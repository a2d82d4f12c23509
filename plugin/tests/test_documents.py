"""The worked examples of the five reference documents (docs/sources.md), computed by `process`.

A rounded number of a document is compared at the document's own digits. Where a document only
guesses a number, the test has the exact number as well.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from temperament import Catalogue, process

NOTHING = Catalogue({})
FIVE = (0.4, 0.3, 0.15, 0.1, 0.05)  # documents 003: five words
CONCENTRATED = (0.9, 0.05, 0.03, 0.01, 0.01)  # document 003: the extreme case
SCORES = (2.0, 1.5, 0.5, 0.0, -1.0)  # document 003: logits of the same five words
SENTENCE = (5.0, 2.2, 2.0, 4.5, 3.0, 2.7)  # document 002: logits of six words


def logs(probabilities: Sequence[float]) -> list[float]:
    """Returns logits that have these probabilities."""
    return [math.log(p) for p in probabilities]


def distribution(logits: Sequence[float], **values: Any) -> list[float]:
    """Returns the probabilities under a preset with these values."""
    return process(torch.tensor([logits]), values, catalogue=NOTHING).softmax(-1)[0].tolist()


def kept(logits: Sequence[float], **values: Any) -> list[int]:
    """Returns the tokens that a preset with these values keeps."""
    return [token for token, p in enumerate(distribution(logits, **values)) if p > 0]


class TestTemperature:
    """The softmax with a temperature: documents 000, 001, 002 and 003."""

    def test_softmax_of_document_002(self) -> None:
        """The softmax at T = 1 has the six digits of document 002."""
        expected = [0.512106, 0.031141, 0.025496, 0.310608, 0.069306, 0.051343]

        assert pytest.approx(expected, abs=5e-7) == distribution(SENTENCE, temperature=1.0)

    def test_softmax_of_document_003(self) -> None:
        """The softmax at T = 1 has the three digits of document 003."""
        # The exact third number is 0.11074, the fourth 0.06717, the last 0.02471.
        expected = [0.496, 0.301, 0.111, 0.067, 0.025]

        assert pytest.approx(expected, abs=6e-4) == distribution(SCORES, temperature=1.0)

    def test_half_of_document_003(self) -> None:
        """The softmax at T = 0.5 has the three digits of document 003."""
        # The document adds to 78.536, exactly it is 78.5373: the last number is 0.00172.
        expected = [0.695, 0.256, 0.035, 0.013, 0.002]

        assert pytest.approx(expected, abs=6e-4) == distribution(SCORES, temperature=0.5)

    @pytest.mark.parametrize(
        ("temperature", "guessed", "exact"),
        [
            # The document says of these that they are assumed; p^(1/T) / sum is exact.
            (
                0.5,
                (0.65, 0.25, 0.07, 0.02, 0.01),
                (0.561404, 0.315789, 0.078947, 0.035088, 0.008772),
            ),
            (
                2.0,
                (0.28, 0.24, 0.20, 0.16, 0.12),
                (0.300124, 0.259915, 0.183788, 0.150062, 0.106110),
            ),
            (0.1, (0.99, 0.01, 0.0, 0.0, 0.0), (0.946638, 0.053309, 0.000052, 0.000001, 0.0)),
            (10.0, (0.2, 0.2, 0.2, 0.2, 0.2), (0.219249, 0.213032, 0.198766, 0.190868, 0.178086)),
        ],
    )
    def test_probabilities_of_document_003(
        self, temperature: float, guessed: Sequence[float], exact: Sequence[float]
    ) -> None:
        """The exact numbers are near the document's guesses, and on the same side of T = 1."""
        actual = distribution(logs(FIVE), temperature=temperature)

        assert pytest.approx(exact, abs=1e-6) == actual
        assert pytest.approx(guessed, abs=0.09) == actual
        assert (actual[0] > FIVE[0]) == (guessed[0] > FIVE[0]) == (temperature < 1)

    def test_one_is_the_distribution_itself(self) -> None:
        """T = 1 changes nothing (documents 001, 002 and 003)."""
        assert pytest.approx(FIVE, abs=1e-7) == distribution(logs(FIVE), temperature=1.0)

    def test_limits_of_document_001(self) -> None:
        """A temperature near 0 is greedy, and a very high one gives a uniform distribution."""
        assert [1, 0, 0, 0, 0] == distribution(SCORES, temperature=0.0)
        assert [1, 0, 0, 0, 0] == distribution(SCORES, temperature=1e-10)
        assert pytest.approx([0.2] * 5, abs=1e-7) == distribution(SCORES, temperature=1e9)

    def test_entropy_grows_with_temperature(self) -> None:
        """The entropy grows with the temperature (documents 000 and 001)."""
        entropies = []
        for temperature in (0.1, 0.5, 0.9, 1.0, 1.5, 2.0):
            p = distribution(SENTENCE, temperature=temperature)
            entropies.append(-sum(x * math.log(x) for x in p if x))

        assert sorted(entropies) == entropies


class TestTopK:
    """The sets of document 003, and the rule of documents 001 and 004."""

    @pytest.mark.parametrize(("k", "expected"), [(1, [0]), (2, [0, 1]), (5, [0, 1, 2, 3, 4])])
    def test_sets(self, k: int, expected: list[int]) -> None:
        """The k most likely tokens are kept."""
        assert expected == kept(logs(FIVE), top_k=k)

    def test_kept_tokens_are_renormalised(self) -> None:
        """The two tokens of k = 2 have the probabilities 4/7 and 3/7."""
        expected = [4 / 7, 3 / 7, 0, 0, 0]

        assert pytest.approx(expected, abs=1e-6) == distribution(logs(FIVE), top_k=2)

    def test_a_concentrated_distribution(self) -> None:
        """k = 2 keeps two tokens, whatever their probabilities."""
        assert [0, 1] == kept(logs(CONCENTRATED), top_k=2)

    @pytest.mark.parametrize("off", [-1, 0])
    def test_off(self, off: int) -> None:
        """-1, as in document 001, and 0 keep every token."""
        assert [0, 1, 2, 3, 4] == kept(logs(FIVE), top_k=off)


class TestTopP:
    """The sets of document 003, and the rule of documents 000, 001 and 004."""

    @pytest.mark.parametrize(
        ("p", "expected"),
        [
            (0.0, [0]),
            # 0.4 + 0.3 reaches 0.7, and 0.4 + 0.3 + 0.15 reaches 0.85: exactly, so that rounding
            # decides. These stand a little below it, those in the next test a little above.
            (0.7 - 1e-5, [0, 1]),
            (0.85 - 1e-5, [0, 1, 2]),
            (1.0, [0, 1, 2, 3, 4]),
        ],
    )
    def test_sets(self, p: float, expected: list[int]) -> None:
        """The smallest set of most likely tokens that reaches p is kept."""
        assert expected == kept(logs(FIVE), top_p=p)

    @pytest.mark.parametrize(("p", "expected"), [(0.7, [0, 1, 2]), (0.85, [0, 1, 2, 3])])
    def test_a_little_more_needs_one_more(self, p: float, expected: list[int]) -> None:
        """The token with which the sum crosses p is kept."""
        assert expected == kept(logs(FIVE), top_p=p + 1e-5)

    def test_a_concentrated_distribution(self) -> None:
        """p = 0.9 keeps one token, if that one reaches it."""
        assert [0] == kept(logs(CONCENTRATED), top_p=0.9 - 1e-5)

    def test_scores(self) -> None:
        """p = 0.85 keeps three tokens at T = 1 (0.908) and two at T = 0.5 (0.951)."""
        assert [0, 1, 2] == kept(SCORES, top_p=0.85)
        assert [0, 1] == kept(SCORES, top_p=0.85, temperature=0.5)

    def test_the_ascending_form_of_document_000(self) -> None:
        """Removing the least likely tokens, up to a mass of 1 - p, keeps the same set."""
        ascending = sorted(enumerate(FIVE), key=lambda pair: pair[1])
        for p in (0.1, 0.45, 0.71, 0.9, 0.96):
            total, removed = 0.0, set()
            for token, probability in ascending:
                total += probability
                removed |= {token} if total <= 1 - p else set()

            assert [t for t in range(5) if t not in removed] == kept(logs(FIVE), top_p=p)


class TestMinP:
    """The rule of document 001."""

    def test_a_tenth_of_the_best(self) -> None:
        """m = 0.1 removes tokens that are less likely than a tenth of the most likely one."""
        assert [0, 1, 2, 3, 4] == kept(logs(FIVE), min_p=0.1)
        assert [0] == kept(logs(CONCENTRATED), min_p=0.1)
        assert [0, 1, 2] == kept(logs((0.6, 0.3, 0.061, 0.039)), min_p=0.1)


class TestTogether:
    """Several parameters at once, and the two orders about which the documents disagree."""

    def test_top_k_after_temperature(self) -> None:
        """With k = 3, T = 0.5 and T = 2 keep the same tokens, with other probabilities."""
        # The document's guesses, renormalised: 0.670, 0.258, 0.072 and 0.389, 0.333, 0.278.
        sharp = [0.587156, 0.330275, 0.082569, 0, 0]
        flat = [0.403486, 0.349430, 0.247084, 0, 0]

        assert pytest.approx(sharp, abs=1e-5) == distribution(logs(FIVE), temperature=0.5, top_k=3)
        assert pytest.approx(flat, abs=1e-5) == distribution(logs(FIVE), temperature=2.0, top_k=3)

    def test_top_p_after_temperature(self) -> None:
        """p = 0.85 keeps three tokens at T = 1 and four at T = 2 (document 003 guesses three)."""
        # At T = 2 the first three have 0.7438, the first four 0.8939.
        assert [0, 1, 2] == kept(logs(FIVE), temperature=1.0, top_p=0.85 - 1e-5)
        assert [0, 1, 2, 3] == kept(logs(FIVE), temperature=2.0, top_p=0.85)

    def test_top_k_and_top_p_of_the_scores(self) -> None:
        """k = 3 keeps 0.496, 0.301 and 0.111, renormalised (document 003)."""
        total = 0.496 + 0.301 + 0.111
        expected = [0.496 / total, 0.301 / total, 0.111 / total, 0, 0]

        assert pytest.approx(expected, abs=1e-3) == distribution(SCORES, top_k=3)

    def test_the_order_of_document_001(self) -> None:
        """The default order is temperature, top_k, top_p, min_p (document 001)."""
        values = {"temperature": 0.8, "top_k": 50, "top_p": 0.9, "min_p": 0.01}
        logits = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0)) * 3
        order = ["temperature", "top_k", "top_p", "min_p"]
        default = process(logits, values, catalogue=NOTHING)
        named = process(logits, {**values, "order": order}, catalogue=NOTHING)
        step = logits
        for name in order:
            step = process(step, {name: values[name]}, catalogue=NOTHING)

        assert torch.equal(default, named)
        assert torch.equal(default, step)

    def test_the_order_of_document_004(self) -> None:
        """With the temperature last, the kept tokens are those of T = 1 (document 004)."""
        values = {"temperature": 2.0, "top_k": 4, "top_p": 0.85}
        late = {**values, "order": ["top_k", "top_p", "temperature"]}
        # Of the four that top_k leaves (0.95), three have 0.8947 >= 0.85, and at T = 2 they have
        # 0.8322 of the mass of four, so that the default order keeps the fourth.
        # Exactly: sqrt of 0.4, 0.3, 0.15, normalised.
        expected = [0.403486, 0.349430, 0.247084, 0, 0]

        assert pytest.approx(expected, abs=1e-5) == distribution(logs(FIVE), **late)
        assert [0, 1, 2, 3] == kept(logs(FIVE), **values)

    def test_p_works_on_what_k_left(self) -> None:
        """top_p acts on the tokens that top_k keeps (document 004)."""
        # Of all five 0.72 needs three; of the two that k leaves (4/7, 3/7) it needs both.
        assert [0, 1, 2] == kept(logs(FIVE), top_p=0.72)
        assert [0, 1] == kept(logs(FIVE), top_k=2, top_p=0.72)
        assert [0] == kept(logs(FIVE), top_k=2, top_p=0.55)

    def test_the_neutral_values_of_document_001(self) -> None:
        """T = 1, k = -1 and p = 1 don't change the distribution (document 001)."""
        expected = distribution(SCORES)

        assert expected == distribution(SCORES, temperature=1.0, top_k=-1, top_p=1.0)


class TestPenalties:
    """The penalties of document 004."""

    def test_each_time_and_once(self) -> None:
        """A token that occurs three times loses 3 f + q, and an absent one loses nothing."""
        logits = process(
            torch.tensor([SCORES]),
            {"frequency_penalty": 0.5, "presence_penalty": 0.25},
            output_ids=[[0, 0, 0, 4]],
            catalogue=NOTHING,
        )

        assert [0.25, 1.5, 0.5, 0.0, -1.75] == logits[0].tolist()

    def test_zero_is_off(self) -> None:
        """Penalties of 0 change no logit (documents 001 and 003)."""
        logits = process(
            torch.tensor([SCORES]),
            {"frequency_penalty": 0.0, "presence_penalty": 0.0},
            output_ids=[[0, 0, 0, 4]],
            catalogue=NOTHING,
        )

        assert list(SCORES) == logits[0].tolist()


@pytest.mark.parametrize(
    ("preset", "temperature"),
    [
        ("code", 0.0),
        ("math", 0.0),
        ("data", 0.3),
        ("chat", 0.6),
        ("translation", 0.6),
        ("creative", 0.8),
        ("default", 1.0),
    ],
)
def test_the_scenarios_of_document_001(preset: str, temperature: float) -> None:
    """Each scenario of document 001 is drawn at what its temperature means for weights."""
    expected = distribution(SCORES, temperature=temperature)

    assert expected == process(torch.tensor([SCORES]), preset).softmax(-1)[0].tolist()
