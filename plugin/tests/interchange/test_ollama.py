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
            "repetition_penalty": 1.1, "repetition_range": 0, "temperature": 1.0, "top_k": 40,
            "top_p": 0.9, "stop": ["<|user|>", "a\nb"],
        },
        {("left", "FROM"), ("left", "SYSTEM"), ("left", "num_ctx"), ("default", "top_k"),
         ("default", "top_p"), ("default", "repetition_penalty")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "ollama",
        {"temperature": 0.7, "stop": ["<|x|>", "a\nb"]},
        'PARAMETER temperature 0.7\nPARAMETER stop "<|x|>"\nPARAMETER stop """a\nb"""\n'
        "PARAMETER top_k 0\nPARAMETER top_p 1.0\nPARAMETER repeat_penalty 1.0",
    ),
]
WRONG = [
    Wrong("ollama", "", "no PARAMETER line"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
