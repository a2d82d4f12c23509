"""A source of known logits."""

import pytest

from tests.studio.known import KnownSource


@pytest.fixture
def known() -> KnownSource:
    return KnownSource()
