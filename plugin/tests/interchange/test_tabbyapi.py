"""tabbyAPI's overrides: files, what they are read as, and what is written."""

from tests.interchange.files import File, Wrong, file_tests, refusal_test

FILES = [
    File(
        "tabbyapi",
        "mine.yml",
        "temperature:\n  override: 0.8\n  force: true\ntop_p:\n  override: 0.9\n  force: false\n"
        "penalty_range:\n  override: -1\n  force: false\nrep_pen:\n  override: 1.1\n"
        "temperature_last:\n  override: true\nadaptive_target:\n  override: 1.0\n"
        "typical_p:\n  override: 0.9\n",
        {
            "order": ["top_p", "typical_p", "temperature"],
            "repetition_penalty": 1.1, "repetition_range": 0, "temperature": 0.8, "top_p": 0.9,
            "typical_p": 0.9, "adaptive_target": -1.0,
        },
        {("differs", "temperature"), ("differs", "top_p"), ("differs", "typical")},
    ),
]  # fmt: skip
WRONG = [
    Wrong("tabbyapi", "- a", "not a map"),
]

test_reading, test_recognition = file_tests(FILES)
test_refusal = refusal_test(WRONG)
