"""A threshold is looked for among more and more of a row's logits: where, doesn't matter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from temperament import process
from temperament.ops import cut
from tests import rows

VOCABULARY = 20_000


def mixed(count: int, flat: int) -> Tensor:
    """Rows whose nucleus is a few tokens, some hundreds, thousands, or nearly all; many flat."""
    generator = torch.Generator().manual_seed(count)
    scale = torch.tensor([8.0, 3.0, 1.5, 0.1])[torch.arange(count) % 4]
    scale[:flat] = 0.01
    return torch.randn(count, VOCABULARY, generator=generator) * scale[:, None]


@pytest.mark.parametrize("flat", [0, 3, 40])
@pytest.mark.parametrize("count", [1, 5, 8, 9, 48])
def test_every_way_gives_the_same(count: int, flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit what sorting all of every row gives, in a batch and alone."""
    logits = mixed(count, flat)
    words = {"top_p": 0.9}
    done = process(logits, words)
    alone = torch.cat([process(logits[i : i + 1], words) for i in range(count)])
    monkeypatch.setattr(cut, "HEAD", VOCABULARY)
    sorted_ = process(logits, words)
    kept = (done > -torch.inf).sum(1)

    assert rows.same_bits(done, sorted_)
    assert rows.same_bits(alone, sorted_)
    if count == 48 and not flat:
        assert [int((kept[i::4] > low).sum()) for i, low in enumerate((0, 128, 1024, 16384))] == [
            12
        ] * 4
