"""A preset: its checked fields, how it is merged with other presets, and its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from temperament.presets.chain import Chain
from temperament.presets.drawn import beyond_scale, drawn, scale_notes
from temperament.presets.modes import Mode, Rule
from temperament.presets.picking import PickRule
from temperament.presets.plain import plain_values
from temperament.presets.temperature_scales import MODEL, WEIGHTS, Scale, is_scale


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset's fields, checked. It replaces only the values that it names.

    `values` are the stage parameters that it names. Neutral ones count: `top_p: 1` undoes the top_p
    of the layers below. `generation` are the generation fields, `order` is the order of the stages,
    empty for the default. `modes` replace some of `values`; a text begins in mode `start` and goes
    from one mode to another by the rules of `switch`.

    Below a preset that stands `alone` no further layer counts: neither a server's default preset
    nor the model's `generation_config.json`. With `pick` a server picks another preset by the
    request.

    `temperature_scale` names the scale that the temperature is on, "" for the weights': `values`
    keep the number that is stated, and `drawn` has the one that text is drawn with. `scales` are
    those for which the model's family has an entry of its own.

    Some fields depend on the model, until `binding.bind` replaces them by its numbers: `relative`
    are factors of what the model's vendor recommends, `from_model` names a kind of the vendor's
    values to use as the layer below, `fallback` are the values that replace them where no model is
    known, and `sections` are further fields for models by their names. `notes` say what was bound
    and why, `pending` why something couldn't be, `never` which rules can't apply on this model.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    generation: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    aliases: tuple[str, ...] = ()
    origin: str = ""
    alone: bool = False
    pick: tuple[PickRule, ...] = ()
    relative: Mapping[str, float] = field(default_factory=dict)
    from_model: str = ""
    fallback: Mapping[str, Any] = field(default_factory=dict)
    temperature_scale: str = ""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    sections: Mapping[str, Preset] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pending: str = ""
    never: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()
    start: str = ""
    switch: tuple[Rule, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    @property
    def drawn(self) -> Preset:
        """The preset with every temperature as it is drawn from weights, on no scale."""
        return drawn(self)

    def as_it_stands(self) -> Preset:
        """The preset without temperature scales: every number is a temperature of the weights."""
        return replace(
            self,
            temperature_scale=_unscaled(self.temperature_scale),
            sections={name: each.as_it_stands() for name, each in self.sections.items()},
            modes=tuple(
                replace(
                    mode,
                    temperature_scale=_unscaled(mode.temperature_scale),
                    unbound=mode.unbound and mode.unbound.as_it_stands(),
                )
                for mode in self.modes
            ),
        )

    @property
    def chain(self) -> Chain:
        """The stages that the preset sets outside of its modes, in order.

        Temperatures are those of the weights. `do_sample: false` is temperature 0.
        """
        return self._chain(self.drawn.values, self.order)

    def _chain(self, values: Mapping[str, Any], order: tuple[str, ...]) -> Chain:
        if self.generation.get("do_sample") is False:
            return Chain.of({**values, "temperature": 0.0}, order)
        return Chain.of(values, order)

    @property
    def chains(self) -> dict[str, Chain]:
        """Each mode's stages, in the modes' order; without modes one chain, named ""."""
        if not self.modes:
            return {"": self.chain}
        on_weights = self.drawn
        return {
            mode.name: self._chain({**on_weights.values, **mode.values}, mode.order or self.order)
            for mode in on_weights.modes
        }

    @property
    def depends_on_model(self) -> bool:
        """Whether the preset leaves values, a scale, sections, modes or markers to the model."""
        return (
            self.leaves_values
            or self.temperature_scale not in ("", MODEL)
            or any(
                mode.unbound is not None or mode.temperature_scale not in ("", MODEL)
                for mode in self.modes
            )
            or any(rule.on.marker and not rule.on.bound for rule in self.switch)
        )

    @property
    def leaves_values(self) -> bool:
        """Whether the preset leaves values, factors or sections to the model, outside of modes."""
        return bool(self.relative or self.from_model or self.sections)

    @property
    def unbound(self) -> str:
        """Why sampling needs the preset bound to a model; "" if it doesn't."""
        if self.relative or (self.from_model and not self.fallback):
            return self.pending or (
                "takes values from the model's recommended ones: the model must be known"
            )
        for mode in self.modes:
            if mode.unbound is not None and mode.unbound.unbound:
                return f"mode {mode.name}: {mode.unbound.unbound}"
        return beyond_scale(self)

    @property
    def reasons(self) -> list[str]:
        """What was bound to the model, how temperatures were converted, and what stays unbound."""
        return [*self.notes, *scale_notes(self), *([self.unbound] if self.unbound else [])]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of what decides the sampling, the same on every machine."""
        on_weights = self.drawn
        parts: list[Any] = [dict(on_weights.values), self.order, dict(self.generation)]
        if self.alone:
            parts.append("alone")
        if self.pick:
            parts.append([rule.plain() for rule in self.pick])
        if self.relative or self.from_model:
            parts += [dict(self.relative), self.from_model]
        if self.modes:
            parts.append([[mode.name, dict(mode.values), mode.order] for mode in on_weights.modes])
            parts += [self.start, [rule.plain() for rule in self.switch]]
        bases = [mode.unbound for mode in self.modes if mode.unbound is not None]
        if waiting := [base.digest for base in bases if base.relative or base.from_model]:
            parts.append(waiting)
        content = json.dumps(parts, sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:12]

    def plain(self) -> dict[str, Any]:
        """The fields that set sampling, as a preset file or a request's body has them."""
        fields = plain_values(self.values)
        if self.temperature_scale not in ("", MODEL):
            fields["temperature_scale"] = self.temperature_scale
        if self.order:
            fields["order"] = list(self.order)
        fields |= plain_values(self.generation)
        if self.modes:
            fields["modes"] = {mode.name: mode.plain() for mode in self.modes}
        if self.modes and self.start:
            fields["start"] = self.start
        if self.modes and self.switch:
            fields["switch"] = [rule.plain() for rule in self.switch]
        return fields

    @property
    def label(self) -> str:
        """`name@digest`, as the response header shows it."""
        return f"{self.name}@{self.digest}"

    def with_note(self, note: str) -> Preset:
        """Returns the same preset with one note more."""
        return replace(self, notes=(*self.notes, note))

    def over(self, base: Preset) -> Preset:
        """This preset's fields, and those of `base` that it doesn't set.

        A temperature brings its scale along; a number and a factor of the same parameter replace
        each other. If this preset has modes, they replace those of `base`. Otherwise the modes of
        `base` stay, and a value of this preset applies in all of them.
        """
        sections = dict(base.sections)
        for pattern, section in self.sections.items():
            sections[pattern] = section.over(sections[pattern]) if pattern in sections else section
        return replace(
            self,
            values={**_without(base.values, self.relative), **self.values},
            order=self.order or base.order,
            generation={**base.generation, **self.generation},
            alone=self.alone or base.alone,
            relative={**_without(base.relative, self.values), **self.relative},
            from_model=self.from_model or base.from_model,
            fallback={**base.fallback, **self.fallback},
            temperature_scale=self._scale_over(base.temperature_scale),
            scales=self.scales or base.scales,
            sections=sections,
            pending=self.pending or base.pending,
            never=self.never if self.modes or self.switch else base.never,
            modes=self.modes or tuple(self._onto(mode) for mode in base.modes),
            start=self.start or ("" if self.modes else base.start),
            switch=self.switch or (() if self.modes else base.switch),
        )

    def over_model(self, values: Preset | None) -> Preset:
        """Returns this preset merged over the model's own values.

        The temperature among these is one of the weights, whatever scale this preset names. Below
        a preset that stands alone they don't count.
        """
        if values is None or self.alone:
            return self
        return self.over(replace(values, temperature_scale=MODEL))

    def _scale_over(self, below: str) -> str:
        """Returns the scale of the merged temperature; `below` is that of the lower layer.

        A temperature keeps the scale of the layer that sets it. A layer that names a scale without
        a temperature puts the lower layer's number on it, unless that number is the model's own.
        """
        if "temperature" in self.values or "temperature" in self.relative:
            return self.temperature_scale
        return below if below == MODEL else self.temperature_scale or below

    def extending(self, base: Preset) -> Preset:
        """This preset's fields, and those of `base` that it doesn't set, as `extends` merges them.

        It differs from `over` in modes: the modes of both stay, and those of the same name are
        merged. Rules come from `base` unless this preset has rules.
        """
        modes = {mode.name: self._onto(mode) for mode in base.modes}
        for mode in self.modes:
            base_mode = modes.get(mode.name)
            modes[mode.name] = mode
            if base_mode is not None and mode.parent is None:
                merged = mode_extending(mode, mode_as_preset(base_mode))
                modes[mode.name] = replace(merged, parent=base_mode.parent)
        return replace(
            self.over(base),
            never=self.never if self.switch else base.never,
            modes=tuple(modes.values()),
            start=self.start or base.start,
            switch=self.switch or base.switch,
            pick=self.pick or base.pick,
        )

    def _onto(self, mode: Mode) -> Mode:
        """Returns a mode of the base preset, with this preset's values replacing the mode's."""
        if mode.unbound is not None or (mode.parent is not None and self.relative):
            layer = Preset(
                mode.name,
                self.values,
                self.order,
                relative=self.relative,
                temperature_scale=self.temperature_scale,
            )
            return mode_of(layer.over(mode_as_preset(mode)), mode.parent)
        values = {**_without(mode.values, self.relative), **self.values}
        scale = self._scale_over(mode.temperature_scale)
        return replace(mode, values=values, order=self.order or mode.order, temperature_scale=scale)


def mode_as_preset(mode: Mode) -> Preset:
    """The mode as a preset, without what it extends by name."""
    scale = mode.temperature_scale
    return mode.unbound or Preset(mode.name, mode.values, mode.order, temperature_scale=scale)


def mode_of(preset: Preset, parent: str | None = None) -> Mode:
    """Returns a mode that sets what `preset` sets.

    `unbound` of the mode is the preset itself, if its values depend on the model.
    """
    unbound = preset if preset.leaves_values or preset.fallback else None
    values = {**preset.fallback, **preset.values}
    of_fallback = "temperature" in preset.fallback and "temperature" not in preset.values
    scale = MODEL if of_fallback else preset.temperature_scale
    return Mode(preset.name, values, preset.order, scale, parent, unbound)


def mode_extending(mode: Mode, base: Preset) -> Mode:
    """Returns the mode merged over `base`; its result no longer extends a preset by name."""
    base = replace(base, modes=(), start="", switch=(), generation={}, notes=(), pending="")
    return mode_of(replace(mode_as_preset(mode).over(base), name=mode.name))


def _unscaled(scale: str) -> str:
    return WEIGHTS if is_scale(scale) else scale


def _without(values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
