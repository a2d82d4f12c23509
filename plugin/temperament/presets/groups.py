"""The groups under which presets are listed, by the folders of `configs/` that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from temperament.presets.markers import configs
from temperament.presets.preset import Preset


@dataclass(frozen=True, slots=True)
class Group:
    """Presets that are listed together: their folder in `configs/`, "" for a user's own."""

    name: str
    folder: str
    title: Mapping[str, str]
    # whether the list of models offers them (`advertise`)
    advertised: bool = True


# In the order in which they are listed.
GROUPS = (
    Group("scenarios", "presets", {"en": "Scenarios", "zh": "场景"}),
    Group("vendor", "vendor", {"en": "From the model's vendor", "zh": "模型厂商推荐"}),
    Group("modes", "modes", {"en": "With modes", "zh": "带模式"}),
    Group("own", "", {"en": "Your own", "zh": "自定义"}),
    Group(
        "examples",
        "examples",
        {"en": "Examples from the articles", "zh": "文章中的示例"},
        advertised=False,
    ),
)
FOLDERS = tuple(group.folder for group in GROUPS if group.folder)


def group_of(preset: Preset) -> Group:
    """The group of a preset, by the file that it was read from."""
    folder = Path(preset.origin.rpartition(":")[0]).parent
    return next(
        (group for group in GROUPS if group.folder and folder == configs() / group.folder), _OWN
    )


def in_groups(presets: Iterable[Preset]) -> list[tuple[Group, list[Preset]]]:
    """The presets in the order of `GROUPS`, group by group; groups without presets are left out."""
    found: dict[str, list[Preset]] = {group.name: [] for group in GROUPS}
    for preset in presets:
        found[group_of(preset).name].append(preset)
    return [(group, found[group.name]) for group in GROUPS if found[group.name]]


_OWN = next(group for group in GROUPS if not group.folder)
