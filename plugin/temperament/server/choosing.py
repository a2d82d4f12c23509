"""Which preset a request is sampled with: the one that it names, or one that rules pick for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from temperament.presets import Catalogue, Preset
from temperament.presets.picking import verdicts
from temperament.presets.resolve import merge
from temperament.server.incoming import Incoming
from temperament.server.request_facts import facts_of


@dataclass(frozen=True, slots=True)
class Chosen:
    """The preset over the default's values, and what the answer's header says."""

    # None: the default alone
    preset: Preset | None
    # `name@digest`, or `auto>name@digest` for a preset that was picked; "" without a preset
    label: str


def choose(
    request: Incoming,
    default: Preset | None,
    catalogue: Catalogue,
    why_barred: Callable[[Preset], str],
) -> Chosen:
    """Returns the preset that a request is sampled with, over the default's values.

    It is the one that the request names, or what that one, or the default, picks. `why_barred`
    returns why a preset can't be picked for this request, "" if it can.
    """
    named = request.selection.preset
    chooser = named or default
    if chooser is None or not chooser.pick:
        return Chosen(named, chooser.label if chooser is not None else "")

    def barred(name: str) -> str:
        return why_barred(catalogue.resolve(name))

    values = replace(chooser, pick=())  # its other fields lie below the preset that it picks
    for verdict in verdicts(chooser, facts_of(request.body), barred):
        if verdict.outcome == "taken":
            picked = catalogue.resolve(verdict.rule.preset)
            below = values if values.plain() or values.alone else None
            return Chosen(merge(picked, below), f"{chooser.name}>{picked.label}")
    return Chosen(None if named is None else values, chooser.label)
