"""The stages that cut."""

from temperament.stages import STAGES

BY_CHANCE = {"xtc"}  # removes the most likely: of equal ones all, or nothing
CUTS = {stage.name for stage in STAGES if stage.group == "cut" or stage.replaces_cuts} - BY_CHANCE
