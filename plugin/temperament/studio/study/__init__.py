"""Which moves a distribution's entropy more at the same number: temperature or top_p?

The open question at the end of reference document 000. `contexts` are the texts, `sweep` the
settings tried on each, `entropies` measures them, `analysis` has the statistics, `tables` Markdown;
the figures are in `temperament.studio.figures.draw_study`, the answer in docs/study.md.
"""
