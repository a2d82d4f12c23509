"""SGLang's preferred parameters: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, export_test, file_tests

FILES = [
    File(
        "sglang",
        "",
        '{"temperature": 0.7, "top_k": -1, "repetition_penalty": 1.05, "max_new_tokens": 256}',
        {"repetition_penalty": 1.05, "temperature": 0.7, "top_k": 0, "max_tokens": 256},
        {("differs", "repetition_penalty")},
        recognised=False,
    ),
]  # fmt: skip
EXPORTS = [
    Export("sglang", {"adaptive_target": 0.4}, {}, {"adaptive_target"}),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
