"""The automata that find where a text switches mode, however the tokenizer cuts it.

Each is built from the one before; `docs/automata.md` shows them at work.

- `patterns`: finds the texts of all triggers, byte by byte
- `token_automaton`: finds them token by token
- `triggers`: adds triggers that are tokens, and where a text goes on after a switch
- `mode_automaton`: adds which rule applies in which mode
- `tracer`: one text read token by token on the host, as `batch.row_modes` does on the device
- `cache`: the tables on disk
"""
