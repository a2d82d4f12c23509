"""The automata that find where a text switches mode, however the tokenizer cuts it.

Each is built from the one before; `docs/automata.md` shows them at work.

- `patterns`: the texts of all triggers, found byte by byte
- `tokens`: the same, a whole token at a time
- `triggers`: tokens that are triggers themselves, and where a text goes on after a switch
- `modes`: which rule a trigger sets off in which mode
- `tracer`: one text read token by token on the host, as `batch.modes` does on the device
- `cache`: the tables on disk
"""
