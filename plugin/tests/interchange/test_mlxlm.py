"""mlx-lm's request: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "mlx-lm",
        "request.json",
        """{"messages": [], "temperature": 0.7, "top_p": 0.9, "top_k": 20, "min_p": 0.05,
        "repetition_penalty": 1.1, "presence_penalty": 0.5, "presence_context_size": 0,
        "logit_bias": {"7": 1.5}, "max_completion_tokens": 40, "stop": "END", "seed": 3,
        "num_draft_tokens": 2}""",
        {
            "order": ["top_p", "min_p", "top_k", "temperature"], "logit_bias": {7: 1.5},
            "repetition_penalty": 1.1, "repetition_range": 20, "presence_penalty": 0.5,
            "temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "max_tokens": 40,
            "stop": ["END"], "seed": 3,
        },
        {("left", "messages"), ("left", "num_draft_tokens"), ("differs", "presence_penalty"),
         ("default", "repetition_context_size")},
    ),
    File(
        "mlx-lm",
        "request.json",
        '{"top_p": 0, "frequency_penalty": 1, "repetition_penalty": 0, "presence_context_size": 9}',
        {"frequency_penalty": 1.0, "temperature": 0.0, "top_p": 1.0},
        {("default", "temperature"), ("lost", "frequency_context_size")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "mlx-lm",
        {"top_p": 0.9, "repetition_penalty": 1.2},
        {
            "repetition_penalty": 1.2,
            "repetition_context_size": 0,
            "top_p": 0.9,
            "temperature": 1.0,
        },
    ),
    Export(
        "mlx-lm",
        {"temperature": 0.5, "top_p": 0.9, "tfs": 0.9},
        {"temperature": 0.5, "top_p": 0.9},
        {"tfs", "order"},
    ),
]
WRONG = [Wrong("mlx-lm", "[1]", "not a JSON object")]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
