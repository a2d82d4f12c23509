"""The playground: one page to try two presets side by side.

The page is plain HTML, CSS and JavaScript from this folder and loads nothing from another machine.
FastAPI, which vLLM needs too, answers it: `api` has the answers, `app` serves them alone, and
`mount` adds them to a vLLM server.
"""
