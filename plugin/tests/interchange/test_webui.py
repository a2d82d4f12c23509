"""text-generation-webui's YAML: files, what they are read as, and what is written."""

from tests.interchange.files import File, Wrong, file_tests, refusal_test

FILES = [
    File(
        "webui",
        "Mine.yaml",
        "temperature: 1.31\ntop_p: 0.14\nepsilon_cutoff: 1.49\neta_cutoff: 10.42\n"
        "repetition_penalty: 1.17\ntop_k: 49\ntemperature_last: true\nmin_length: 3\n",
        {
            "order": ["top_k", "top_p", "epsilon_cutoff", "eta_cutoff", "temperature"],
            "repetition_penalty": 1.17, "repetition_range": 1024, "temperature": 1.31, "top_k": 49,
            "top_p": 0.14, "epsilon_cutoff": 0.000149, "eta_cutoff": 0.001042,
        },
        {("default", "repetition_penalty_range"), ("lost", "min_length")},
    ),
    File(
        "webui",
        "Mine.yaml",
        "temperature: 0.7\ndynamic_temperature: true\ndynatemp_low: 0.5\ndynatemp_high: 1.5\n"
        "min_p: 0.02\nadaptive_target: 0\nxtc_probability: 0.5\n"
        "dry_multiplier: 0.8\ndry_sequence_breakers: '\"\\n\", \":\"'\n"
        "repetition_penalty_range: 0\n"
        "sampler_priority: |-\n  min_p\n  dynamic_temperature\n  xtc\n",
        {
            "order": ["temperature", "min_p", "dynamic_temperature", "xtc"], "temperature": 0.7,
            "dry_multiplier": 0.8, "dry_sequence_breakers": ["\n", ":"],
            "dynatemp_low": 0.5, "dynatemp_high": 1.5, "min_p": 0.02, "xtc_probability": 0.5,
            "adaptive_target": -1.0, "dry_protect_ends": False,
        },
        {("differs", "xtc_probability")},
    ),
]  # fmt: skip
WRONG = [
    Wrong("webui", "a: [", "not valid YAML"),
]

test_reading, test_recognition = file_tests(FILES)
test_refusal = refusal_test(WRONG)
