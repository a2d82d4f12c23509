"""ExLlamaV3's CustomSampler: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_RepP(1.1, 512, 0), SS_MinP(0.08), SS_Temperature(0.8), SS_Sample()])",
        {
            "order": ["min_p", "temperature"],
            "repetition_penalty": 1.1,
            "repetition_range": 512,
            "temperature": 0.8,
            "min_p": 0.08,
        },
    ),
    File("exllamav3", "sampler.py", "CustomSampler([SS_Argmax()])", {"temperature": 0.0}),
]
EXPORTS = [
    Export(
        "exllamav3",
        {"temperature": 0.8, "top_k": 5, "xtc_probability": 0.5, "order": ["top_k", "temperature"]},
        "CustomSampler([SS_TopK(5), SS_Temperature(0.8),"
        " SS_XTC(0.5, 0.1, tokenizer=tokenizer), SS_Sample()])",
    ),
    Export(
        "exllamav3",
        {"temperature": 0, "repetition_penalty": 1.2, "suppress_tokens": [7], "top_p": 0.9},
        "CustomSampler([SS_RepP(1.2, 100000000), SS_BanTokens([7]), SS_Argmax()])",
        {"top_p"},
    ),
    Export(
        "exllamav3",
        {"adaptive_target": 0.3, "dry_multiplier": 0.8},
        "CustomSampler([SS_AdaptiveP(0.3, 0.9)])",
        {"dry_multiplier"},
    ),
]
WRONG = [
    Wrong("exllamav3", "CustomSampler([", "not a Python expression"),
    Wrong("exllamav3", "f()", r"not a CustomSampler\(\[...\]\)"),
    Wrong("exllamav3", "CustomSampler([SS_Wild(1)])", "not one of its samplers"),
    Wrong("exllamav3", "CustomSampler([SS_TopK(f())])", "not one of its samplers"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
