"""Stages with chance: how often, and from which distribution."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from temperament import PresetError, Run, process
from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.presets import Chain
from tests import reference, rows

COUNT = 2000


def logs(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities).log()


class TestXtc:
    """The rate of its rolls, and what they take."""

    @pytest.mark.parametrize("probability", [0.02, 0.5, 0.9])
    @pytest.mark.parametrize("across", ["seeds", "positions"])
    def test_rate(self, probability: float, across: str) -> None:
        """The rate is within four standard deviations, over seeds and over positions of a text."""
        x = logs(0.5, 0.3, 0.2).expand(COUNT, 3)
        values = {"xtc_probability": probability, "xtc_protect_structure": False}
        preset = rows.preset(values)
        if across == "seeds":
            after = process(x, preset, seeds=range(COUNT), catalogue=rows.NOTHING)
        else:
            batch = Rows(COUNT)
            for row in range(COUNT):  # 100 positions of each seed, in one batch
                batch.write(row, Request(preset.chain, row // 100), (), [0] * (row % 100))
            after = batch.run(x.clone(), np.arange(COUNT))
        fired = after[:, 0] == -math.inf
        rate = fired.double().mean().item()
        deviation = math.sqrt(probability * (1 - probability) / COUNT)

        assert abs(rate - probability) < 4 * deviation
        assert (after[fired] == torch.tensor([-math.inf, -math.inf, x[0, 2]])).all()
        assert (after[~fired] == x[~fired]).all()

    def test_zero_and_one(self) -> None:
        """A stage with probability 0 never acts, and one with 1 always does."""
        x = logs(0.5, 0.3, 0.2).expand(COUNT, 3)
        for probability in (0.0, 1.0):
            values = {"xtc_probability": probability, "xtc_protect_structure": False}
            after = process(x, values, seeds=range(COUNT), catalogue=rows.NOTHING)
            assert (after[:, 0].isinf()).all() == bool(probability)

    def test_structure_needs_the_tokenizer(self) -> None:
        """What can't be protected is not left unprotected in silence."""
        x = logs(0.5, 0.3, 0.2)[None]
        with pytest.raises(PresetError, match="xtc_protect_structure: false"):
            process(x, {"xtc_probability": 0.5}, catalogue=rows.NOTHING)

    def test_a_row_without_a_seed_has_its_own(self) -> None:
        """Rows of one preset don't roll together."""
        x = logs(0.5, 0.3, 0.2).expand(200, 3)
        values = {"xtc_probability": 0.5, "xtc_protect_structure": False}
        fired = process(x, values, catalogue=rows.NOTHING)[:, 0].isinf().sum()

        assert 50 < fired < 150


def drawn(after: Tensor) -> Tensor:
    """[rows] the one token that is left of each."""
    assert ((after > -torch.inf).sum(-1) == 1).all()
    return after.argmax(-1)


def far_from(counts: Tensor, p: Tensor) -> float:
    """Chi-square of counts against probabilities, in standard deviations."""
    expected = p.double() * counts.sum()
    degrees = int((expected > 0).sum()) - 1
    inside = expected > 0
    assert (counts[~inside] == 0).all()
    statistic = float(((counts - expected) ** 2 / expected)[inside].sum())
    return (statistic - degrees) / math.sqrt(2 * degrees)


class TestReproducible:
    """The token is drawn from the distribution of what is left."""

    X = torch.randn(40, generator=torch.Generator().manual_seed(0)) * 1.5

    def test_over_seeds(self) -> None:
        """One position of many seeds draws from the distribution."""
        x = self.X.expand(COUNT, 40)
        after = process(x, {"reproducible": True}, seeds=range(COUNT), catalogue=rows.NOTHING)

        assert abs(far_from(torch.bincount(drawn(after), minlength=40), self.X.softmax(0))) < 4

    @pytest.mark.parametrize("seed", [0, 1, 2**62])
    def test_over_positions(self, seed: int) -> None:
        """Many positions of one seed draw from the distribution."""
        chain = Chain.of({"reproducible": True})
        batch = Rows(COUNT)
        for row in range(COUNT):
            batch.write(row, Request(chain, seed), (), [0] * row)
        after = batch.run(self.X.repeat(COUNT, 1), np.arange(COUNT))

        assert abs(far_from(torch.bincount(drawn(after), minlength=40), self.X.softmax(0))) < 4

    def test_in_a_mixed_batch(self) -> None:
        """Beside other presets, and after cuts and temperatures, each row keeps its own odds."""
        presets = [
            rows.preset({"reproducible": True, "temperature": 1.5, "top_k": 12}),
            rows.preset({"top_p": 0.5}),
            rows.preset({"reproducible": True, "temperature": 0.7, "top_p": 0.8}, ["top_p"]),
            rows.preset({"reproducible": True, "temperature": 0.6, "min_p": 0.05}),
        ]
        x = self.X.repeat(COUNT, 1)
        after = process(
            x,
            [presets[row % 4] for row in range(COUNT)],
            seeds=[row // 4 for row in range(COUNT)],
            catalogue=rows.NOTHING,
        )
        for kind in (0, 2, 3):
            values = {k: v for k, v in presets[kind].values.items() if k != "reproducible"}
            shown = process(
                self.X[None], rows.preset(values, presets[kind].order), catalogue=rows.NOTHING
            )
            counts = torch.bincount(drawn(after[kind::4]), minlength=40)
            assert abs(far_from(counts, shown[0].softmax(0))) < 4

    def test_pairs_of_positions_are_independent(self) -> None:
        """What is drawn now says nothing of what is drawn next."""
        chain = Chain.of({"reproducible": True})
        x = logs(0.25, 0.25, 0.25, 0.25)
        texts = []
        for position in (0, 1):
            batch = Rows(COUNT)
            for row in range(COUNT):
                batch.write(row, Request(chain, row), (), [0] * position)
            texts.append(drawn(batch.run(x.repeat(COUNT, 1), np.arange(COUNT))))
        pairs = torch.bincount(texts[0] * 4 + texts[1], minlength=16)

        assert abs(far_from(pairs, torch.full((16,), 1 / 16))) < 4

    @pytest.mark.parametrize("kept", [1, 3, 200, 1000])
    def test_the_same_token_whatever_is_cut(self, kept: int) -> None:
        """Cuts don't change the draw if its token stays, since each token has its own noise."""
        x = torch.randn(50, 1000, generator=torch.Generator().manual_seed(1))
        free = drawn(process(x, {"reproducible": True}, seeds=range(50), catalogue=rows.NOTHING))
        values = {"reproducible": True, "top_k": kept}
        cut = drawn(process(x, values, seeds=range(50), catalogue=rows.NOTHING))
        largest = x.topk(kept).indices
        stays = (largest == free[:, None]).any(1)

        assert torch.equal(cut[stays], free[stays])
        for row in range(5):
            row_free = reference.of("reproducible")(
                x[row].tolist(), reproducible=True, seed=row, position=0
            )
            assert row_free.index(max(row_free)) == free[row]

    def test_a_run_gives_what_process_gives(self) -> None:
        """`Run` draws the tokens that `process` draws, in a batch or alone."""
        generator = torch.Generator().manual_seed(2)
        steps = torch.randn(12, 4, 50, generator=generator)
        preset = {"reproducible": True, "temperature": 1.3, "xtc_probability": 0.5,
                  "xtc_protect_structure": False}  # fmt: skip
        seeds = [3, 1, 4, 1]
        texts: list[list[int]] = [[], [], [], []]
        together = Run(preset, rows=4, seeds=seeds, catalogue=rows.NOTHING)
        for logits in steps:
            tokens = drawn(together.run(logits))
            for row in range(4):
                alone = process(
                    logits[[row]], preset, output_ids=[texts[row]], seeds=[seeds[row]],
                    catalogue=rows.NOTHING,
                )  # fmt: skip
                assert drawn(alone)[0] == tokens[row]
                texts[row].append(int(tokens[row]))
            together.accept(tokens)

        assert texts[1] != texts[3]  # other logits
        assert 4 == len({tuple(text) for text in texts})
