"""Tools that show what presets do: inspection, plots, the study, comparisons, the playground.

An extra (`pip install 'temperament[studio]'`): no other part of the package needs it.
"""
