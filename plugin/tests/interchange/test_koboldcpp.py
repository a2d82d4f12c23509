"""KoboldCpp's JSON: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "koboldcpp",
        "payload.json",
        """{"max_context_length": 4096, "max_length": 120, "temperature": 0.8, "top_p": 0.9,
        "top_k": 40, "typical": 0.95, "rep_pen": 1.07, "rep_pen_slope": 0.7, "min_p": 0.05,
        "sampler_order": [6, 5, 0, 2, 3, 1, 4], "nsigma": 2, "smoothing_factor": 0.2,
        "stop_sequence": ["### Input"], "sampler_seed": -1}""",
        {
            "order": [
                "temperature", "smoothing", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p",
            ],
            "repetition_penalty": 1.07, "repetition_range": 320, "temperature": 0.8,
            "smoothing_factor": 0.2, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.95,
            "top_n_sigma": 2.0, "max_tokens": 120, "stop": ["### Input"],
        },
        {("lost", "rep_pen_slope"), ("left", "max_context_length")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "koboldcpp",
        {"top_p": 0.9, "temperature": 0.8, "order": ["top_p", "temperature"]},
        {"temperature": 0.8, "top_p": 0.9, "top_k": 0, "sampler_order": [6, 2, 5, 0, 1, 3, 4]},
    ),
    Export(
        "koboldcpp",
        {"xtc_probability": 0.5},
        {
            "xtc_probability": 0.5,
            "xtc_threshold": 0.1,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "sampler_order": [6, 0, 1, 3, 4, 2, 5],
        },
        {"xtc_protect_structure"},
    ),
    Export(
        "koboldcpp",
        {"frequency_penalty": 0.5},
        {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "sampler_order": [6, 0, 1, 3, 4, 2, 5]},
        {"frequency_penalty"},
    ),
]
WRONG = [
    Wrong("koboldcpp", "[1]", "not a JSON object"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
