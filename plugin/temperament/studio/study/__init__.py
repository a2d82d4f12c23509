"""Which moves a distribution's entropy more at the same number: temperature or top_p?

The open question at the end of reference document 000. `contexts` are the texts, `settings` what is
tried on each, `measure` makes the entropies, `analysis` the statistics, `tables` their Markdown;
the figures are in `temperament.studio.figures.study`, the answer in docs/study.md.
"""
