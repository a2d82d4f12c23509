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
    # ExLlamaV3 1.4.1: arguments by name, what is off, and steps that change nothing
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_Sort(), SS_TopK(top_k=-1), SS_MinP(min_p=0.1), SS_Normalize(),"
        " SS_XTC(0.5, threshold=0.2), SS_AdaptiveP(1.0), SS_Sample_mn()])",
        {
            "top_k": 0,
            "min_p": 0.1,
            "xtc_probability": 0.5,
            "xtc_threshold": 0.2,
            "xtc_protect_structure": False,
            "adaptive_target": -1.0,
        },
        {("differs", "xtc_probability"), ("default", "adaptive_decay")},
    ),
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_XTC(0.5, 0.1, None, tokenizer), SS_Temperature(0.7), SS_Argmax()])",
        {
            "order": ["xtc", "temperature"],
            "temperature": 0.0,
            "xtc_probability": 0.5,
            "xtc_threshold": 0.1,
        },
        {("differs", "xtc_probability")},
    ),
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_XTC(1, 0.1, [7], tokenizer=tokenizer), SS_AdaptiveP(0.3)])",
        {
            "xtc_probability": 1.0,
            "xtc_threshold": 0.1,
            "xtc_protected": [7],
            "xtc_protect_structure": False,
            "adaptive_target": 0.3,
            "adaptive_decay": 0.0,
        },
        {("default", "adaptive_decay")},
    ),
    # windows, and what comes later there than in a preset
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_Temperature(2.0), SS_RepP(1.2, 9, 4), SS_PresFreqP(0.5, 0.0, 8),"
        " SS_MinP(0.1), SS_BanTokens([3]), SS_MinP(0.2)])",
        {
            "suppress_tokens": [3],
            "repetition_penalty": 1.2,
            "repetition_range": 9,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.5,
            "temperature": 2.0,
            "min_p": 0.1,
        },
        {
            ("lost", "SS_RepP.decay_range"),
            ("lost", "SS_PresFreqP.sustain_range"),
            ("lost", "min_p"),
            ("differs", "order"),
        },
    ),
    File(
        "exllamav3",
        "sampler.py",
        "CustomSampler([SS_RepP(1.2, 0), SS_PresFreqP(0.5, sustain_range=0), SS_XTC(1, 0.6)])",
        {},
        {("lost", "rep_p"), ("lost", "pres_p"), ("lost", "xtc_probability"),
         ("lost", "xtc_threshold")},
    ),
]  # fmt: skip
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
    Export(
        "exllamav3",
        {"xtc_probability": 0.5, "xtc_protected": [7], "xtc_protect_structure": False},
        "CustomSampler([SS_XTC(0.5, 0.1, protected_token_ids=[7]), SS_Sample()])",
    ),
    Export(
        "exllamav3",
        {"xtc_probability": 0.5, "xtc_protected": [7]},
        "CustomSampler([SS_XTC(0.5, 0.1, tokenizer=tokenizer), SS_Sample()])",
        {"xtc_protected"},
    ),
]
WRONG = [
    Wrong("exllamav3", "CustomSampler([", "not a Python expression"),
    Wrong("exllamav3", "f()", r"not a CustomSampler\(\[...\]\)"),
    Wrong("exllamav3", "CustomSampler([SS_Wild(1)])", "not one of its samplers"),
    Wrong("exllamav3", "CustomSampler([SS_TopK(f())])", r"top_k is not a value; given: 'f\(\)'"),
    Wrong("exllamav3", "CustomSampler([SS_TopK(5, 6)])", "not its arguments"),
    Wrong("exllamav3", "CustomSampler([SS_TopK(k=5)])", r"allowed: SS_TopK\(top_k\)"),
    Wrong("exllamav3", "CustomSampler([SS_TopK(5, top_k=5)])", "not its arguments"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
