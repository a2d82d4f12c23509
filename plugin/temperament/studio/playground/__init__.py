"""The playground: one page on which a preset can be tried, beside another.

FastAPI answers it, which comes with vLLM too; the page is plain HTML, CSS and JavaScript from this
folder, and asks nothing from another machine. `routes` has the answers, `app` serves them alone,
`mount` adds them to a running vLLM.
"""
