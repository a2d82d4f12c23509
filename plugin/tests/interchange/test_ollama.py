"""Ollama's Modelfile: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "ollama",
        "Modelfile",
        'FROM llama3.2\n# warmer\nPARAMETER temperature 1\nPARAMETER num_ctx 4096\n'
        'PARAMETER stop "<|user|>"\nPARAMETER stop """a\nb"""\nPARAMETER repeat_last_n -1\n'
        "SYSTEM You are Mario.\n",
        {
            "temperature": 1.0, "stop": ["<|user|>", "a\nb"],
        },
        {("left", "FROM"), ("left", "SYSTEM"), ("left", "num_ctx"), ("lost", "repeat_last_n")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "ollama",
        {"temperature": 0.7, "stop": ["<|x|>", "a\nb"]},
        'PARAMETER temperature 0.7\nPARAMETER stop "<|x|>"\nPARAMETER stop "a\nb"\n'
        "PARAMETER top_k 0\nPARAMETER top_p 1.0\nPARAMETER min_p 0.0\nPARAMETER typical_p 1.0\n"
        "PARAMETER repeat_penalty 1.0\nPARAMETER frequency_penalty 0.0\n"
        "PARAMETER presence_penalty 0.0",
    ),
]
WRONG = [
    Wrong("ollama", "", "no PARAMETER line"),
    Wrong("ollama", "FROM m\nRUN x", "line 2 isn't an instruction; given: 'RUN x'; allowed: FROM"),
    Wrong("ollama", 'FROM m\nPARAMETER stop "a', "line 2: its quotes aren't closed"),
    Wrong("ollama", "PARAMETER top_k", "line 1: PARAMETER needs a name and a value"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
