"""A threshold is looked for among more and more of a row's logits: where, doesn't matter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from temperament import process
from temperament.ops import cut, largest, typical_p
from tests import rows

VOCABULARY = 20_000
WIDE = 140_000  # so that a row's nearest 2048 are looked for
LEVELS = ((0, 128), (128, 2048), (2048, WIDE))  # how many tokens are kept


def mixed(count: int, flat: int, vocabulary: int = VOCABULARY) -> Tensor:
    """Rows whose nucleus is a few tokens, some hundreds, thousands, or nearly all; many flat."""
    generator = torch.Generator().manual_seed(count)
    scale = torch.tensor([8.0, 3.0, 1.5, 0.1])[torch.arange(count) % 4]
    scale[:flat] = 0.01
    return torch.randn(count, vocabulary, generator=generator) * scale[:, None]


@pytest.mark.parametrize("flat", [0, 3, 40])
@pytest.mark.parametrize("count", [1, 5, 8, 9, 48])
def test_every_way_gives_the_same(count: int, flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way has the bits of sorting every row, in a batch and alone."""
    logits = mixed(count, flat)
    values = {"top_p": 0.9}
    done = process(logits, values)
    alone = torch.cat([process(logits[i : i + 1], values) for i in range(count)])
    monkeypatch.setattr(cut, "CANDIDATES", VOCABULARY)
    sorted_ = process(logits, values)
    kept = (done > -torch.inf).sum(1)

    assert rows.same_bits(done, sorted_)
    assert rows.same_bits(alone, sorted_)
    if count == 48 and not flat:
        assert [12] * 4 == [
            int((kept[i::4] > low).sum()) for i, low in enumerate((0, 128, 1024, 16384))
        ]


@pytest.mark.parametrize("count", [1, 5, 24])
def test_typical_p_finds_the_same_everywhere(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest tokens and all tokens give the same bits, with ties and odd rows too."""
    logits = mixed(count, 0, WIDE)
    logits[1::4] *= 1.3  # of which some hundreds are kept
    logits = torch.cat([logits, (logits * 4).round() / 4])
    logits[0, 7] = torch.nan
    logits[1 % count, ::2] = -torch.inf
    logits[-1] = -torch.inf
    values = {"typical_p": 0.9}
    done = process(logits, values)
    alone = torch.cat([process(logits[i : i + 1], values) for i in range(len(logits))])
    monkeypatch.setattr(typical_p, "NEAREST", (WIDE,))  # more than groups allow
    sorted_ = process(logits, values)
    kept = (done > -torch.inf).sum(1)

    assert rows.same_bits(done, sorted_)
    assert rows.same_bits(alone, sorted_)
    if count == 24:
        found = [int(((kept > low) & (kept <= high)).sum()) for low, high in LEVELS]
        assert min(found) >= 4, "rows of every level"
        most_likely = (logits == logits.amax(1, keepdim=True)) & (logits > -torch.inf)
        assert (done[most_likely] == -torch.inf).any(), "the top may go"


@pytest.mark.parametrize("count", [1, 3, 128, 300])
@pytest.mark.parametrize("vocabulary", [2, 1000, 20_000, 20_011])
def test_the_largest(vocabulary: int, count: int) -> None:
    """The largest by groups of columns are those of sorting, with ties, infinities and NaN."""
    logits = torch.randn(6, vocabulary, generator=torch.Generator().manual_seed(count))
    logits[1] = (logits[1] * 2).round()
    logits[2, ::3] = -torch.inf
    logits[3] = -torch.inf
    logits[4, -1] = torch.inf
    logits[5, vocabulary // 2] = torch.nan
    count = min(count, vocabulary)
    expected = logits.sort(dim=1, descending=True).values[:, :count]
    top = largest.candidates(logits, count)
    chosen = torch.tensor([4, 1])

    assert rows.same_bits(top.values, expected)
    assert rows.same_bits(logits.gather(1, top.tokens), expected)
    assert all(len(set(tokens)) == count for tokens in top.tokens.tolist())
    assert rows.same_bits(largest.largest(logits, count), expected)
    assert rows.same_bits(largest.largest(logits, count, rows=chosen), expected[chosen])
