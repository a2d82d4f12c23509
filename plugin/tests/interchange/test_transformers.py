"""Transformers' generation_config.json: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "transformers",
        "generation_config.json",
        """{"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
        "temperature": 0.6, "top_p": 0.95, "exponential_decay_length_penalty": [100, 1.05],
        "max_new_tokens": 512, "transformers_version": "4.51.0"}""",
        {
            "exponential_decay_length_penalty": 1.05, "exponential_decay_start": 100,
            "temperature": 0.6, "top_k": 50, "top_p": 0.95, "max_tokens": 512,
        },
        {("left", "bos_token_id"), ("left", "eos_token_id"), ("left", "transformers_version"),
         ("default", "top_k")},
    ),
    File(
        "transformers",
        "generation_config.json",
        """{"do_sample": false, "temperature": 0.6, "repetition_penalty": 1.1,
        "top_h": 0.4, "num_beams": 4}""",
        {"repetition_penalty": 1.1, "do_sample": False, "num_beams": 4},
        {("lost", "temperature"), ("lost", "top_h")},
    ),
    File(
        "transformers",
        "generation_config.json",
        '{"do_sample": true, "top_k": 20, "top_h": 0.4}',
        {"order": ["top_h", "top_k"], "top_k": 20, "top_h": 0.4},
    ),
]  # fmt: skip
EXPORTS = [
    Export("transformers", {"temperature": 0}, {"do_sample": False}),
    Export(
        "transformers", {"temperature": 0.7}, {"do_sample": True, "temperature": 0.7, "top_k": 0}
    ),
]
WRONG = [
    Wrong("transformers", "{", "not valid JSON"),
    Wrong("transformers", '{"do_sample": true, "top_p": 7}', "top_p: not allowed; given: 7"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
