"""Many chains become one list of steps."""

from hypothesis import given
from hypothesis import strategies as st

from temperament.batch.merge import Stages, merge
from temperament.stages import ORDER, RANK, STAGES

SHAPES = st.lists(st.lists(st.sampled_from(ORDER), unique=True).map(tuple), max_size=6)
SORTED = SHAPES.map(lambda shapes: [tuple(sorted(shape, key=RANK.__getitem__)) for shape in shapes])


class TestMerge:
    """`merge`, on tables and on any shapes."""

    def test_nothing(self) -> None:
        """No chains, or chains of nothing, take no steps."""
        assert [] == merge([])
        assert [] == merge([(), ()])

    def test_chains_in_the_default_order_share_every_step(self) -> None:
        """Each stage is one step for all chains that have it."""
        shapes = [("temperature", "top_k"), ("temperature", "top_p"), ("top_k", "min_p")]

        assert [
            ("temperature", (0, 1)),
            ("top_k", (0, 2)),
            ("top_p", (1,)),
            ("min_p", (2,)),
        ] == merge(shapes)

    def test_an_order_of_its_own_takes_a_second_step(self) -> None:
        """A stage that two chains want at different places runs twice, for each in its place."""
        shapes = [("temperature", "top_k"), ("top_k", "temperature")]

        assert [
            ("temperature", (0,)),
            ("top_k", (0, 1)),
            ("temperature", (1,)),
        ] == merge(shapes)

    @given(SHAPES)
    def test_every_chain_runs_in_its_own_order(self, shapes: list[Stages]) -> None:
        """The steps in which a chain takes part are its stages, in its order."""
        steps = merge(shapes)

        for index, shape in enumerate(shapes):
            assert shape == tuple(stage for stage, takes_part in steps if index in takes_part)
        assert all(takes_part for _, takes_part in steps)

    @given(SORTED)
    def test_the_default_order_costs_the_union(self, shapes: list[Stages]) -> None:
        """Chains in the default order take one step for each different stage."""
        used = {name for shape in shapes for name in shape}

        assert [s.name for s in STAGES if s.name in used] == [stage for stage, _ in merge(shapes)]
