"""A text followed through its modes: the switches of a plain search, however it is cut."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from temperament.plan.follow import Follower
from temperament.plan.machine import Switching, machine
from tests.plan.switches import search, some_preset, some_vocabulary


@given(seed=st.integers(0, 2**32))
@settings(max_examples=400)
def test_the_switches_are_those_of_a_plain_search(seed: int) -> None:
    """Random vocabularies, triggers and segmentations: the same places, to the byte."""
    random = Random(seed)
    vocabulary = some_vocabulary(random)
    preset = some_preset(random, vocabulary)
    switching = Switching.of(preset)
    assert switching is not None
    text = Follower(machine.__wrapped__(switching, vocabulary))
    output = random.choices(range(len(vocabulary)), k=40)
    text.read(output)
    names = switching.modes

    assert search(preset, vocabulary, output) == [
        (switch.token, switch.byte, names[switch.source], names[switch.target])
        for switch in text.switches
    ]
