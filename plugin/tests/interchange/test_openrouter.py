"""OpenRouter's presets: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "openrouter",
        "version.json",
        """{"id": "1", "preset_id": "2", "version": 1, "system_prompt": "Be brief.", "config":
        {"model": "a/b", "temperature": 0.7, "top_a": 0.1, "max_completion_tokens": 9,
         "stop": "END", "logit_bias": {"7": -2}, "provider": {"sort": "price"}, "warmth": 3}}""",
        {"logit_bias": {7: -2.0}, "temperature": 0.7, "top_a": 0.1, "max_tokens": 9,
         "stop": ["END"]},
        {("left", "model"), ("left", "provider"), ("lost", "warmth")},
    ),
    File(
        "openrouter",
        "answer.json",
        """{"data": {"slug": "a", "designated_version": {"config": {"top_k": 0, "top_p": 0.9,
        "repetition_penalty": 1.1, "response_format": {"type": "json_object"}}}}}""",
        {"repetition_penalty": 1.1, "top_k": 0, "top_p": 0.9},
        {("lost", "response_format")},
    ),
    File(
        "openrouter",
        "both.json",
        """{"data": {"slug": "a"}, "designated_version": {"config": {"top_k": 3, "max_tokens": 5,
        "max_completion_tokens": 9}}}""",
        {"top_k": 3, "max_tokens": 5},
        {("lost", "max_completion_tokens")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "openrouter",
        {"temperature": 0.7, "min_p": 0.1, "tfs": 0.9, "logit_bias": {7: 1}},
        {"config": {"logit_bias": {"7": 1.0}, "temperature": 0.7, "min_p": 0.1}},
        {"tfs"},
    ),
]
WRONG = [
    Wrong("openrouter", '{"data": {"slug": "a"}}', "not a preset"),
    Wrong("openrouter", "[1]", "not a JSON object"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
