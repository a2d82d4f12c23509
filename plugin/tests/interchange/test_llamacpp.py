"""llama.cpp's server JSON: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, export_test, file_tests

FILES = [
    File(
        "llamacpp",
        "request.json",
        """{"temperature": 0.9, "dynatemp_range": 0.4, "dynatemp_exponent": 2, "top_k": 30,
        "top_p": 0.9, "repeat_penalty": 1.1, "xtc_probability": 0.5, "xtc_threshold": 0.2,
        "dry_multiplier": 0.8, "dry_penalty_last_n": 1048576,
        "logit_bias": [[15, 2.5], [16, false]],
        "samplers": ["penalties", "dry", "top_k", "top_p", "temperature", "xtc"], "n_predict": 40,
        "seed": 4294967295, "min_p": 0.05, "cache_prompt": true}""",
        {
            "order": ["top_k", "top_p", "dynamic_temperature", "xtc"],
            "suppress_tokens": [16], "logit_bias": {15: 2.5}, "repetition_penalty": 1.1,
            "repetition_range": 64, "dry_multiplier": 0.8, "dry_range": 0, "temperature": 1.0,
            "dynatemp_low": 0.5, "dynatemp_high": 1.3, "dynatemp_exponent": 2.0, "top_k": 30,
            "top_p": 0.9, "xtc_probability": 0.5, "xtc_threshold": 0.2,
            "xtc_protect_structure": False, "dry_protect_ends": False, "max_tokens": 40,
        },
        {("lost", "min_p"), ("left", "cache_prompt")},
    ),
    File(
        "llamacpp",
        "request.json",
        '{"mirostat": 2, "mirostat_tau": 4, "repeat_penalty": 1.2, "temperature": 0.7, "top_k": 5}',
        {"temperature": 0.7, "mirostat": 2, "mirostat_tau": 4.0},
        {("lost", "repeat_penalty")},
    ),
    File(
        "llamacpp",
        "request.json",
        """{"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "repeat_last_n": 0,
        "repeat_penalty": 1.3, "samplers": "kt", "top_n_sigma": -1, "adaptive_target": -1}""",
        {
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "top_n_sigma": 0.0,
            "adaptive_target": -1.0,
        },
        {("lost", "repeat_penalty")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "llamacpp",
        {"dynatemp_low": 0.5, "dynatemp_high": 1.3},
        {
            "temperature": 0.9,
            "dynatemp_range": 0.4,
            "dynatemp_exponent": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            "samplers": ["penalties", "dry", "temperature"],
        },
    ),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
