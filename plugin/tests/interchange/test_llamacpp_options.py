"""llama.cpp's command line and INI files: files, what they are read as, and what is written."""

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test

FILES = [
    File(
        "llamacpp-args",
        "run.sh",
        "llama-server -m model.gguf --temp 0.7 --top-k 20 --min-p 0 --top-p=0.95 \\\n"
        "  --samplers 'top_k;top_p;temperature' --logit-bias 15043-1.5 -n 200 --flash-attn\n",
        {
            "order": ["top_k", "top_p", "temperature"], "logit_bias": {15043: -1.5},
            "temperature": 0.7, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "max_tokens": 200,
        },
        {("left", "-m"), ("left", "--flash-attn")},
    ),
    File(
        "llamacpp-ini",
        "preset.ini",
        "[*]\nctx-size = 0\ntemp = 0.8\nmin-p = 0\n\n[Qwen]\nhf = a/b\ntop-p = 0.8\ntop-k = 20\n",
        {
            "order": ["top_k", "top_p", "temperature"],
            "temperature": 0.8, "top_k": 20, "top_p": 0.8, "min_p": 0.0,
        },
        {("left", "ctx-size"), ("left", "hf")},
        "Qwen",
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "llamacpp-args",
        {"temperature": 0.7, "dry_multiplier": 0.8, "dry_protect_ends": False, "stop": "a b"},
        "--dry-multiplier 0.8 --temp 0.7 --dry-base 1.75 --dry-allowed-length 2"
        " --dry-penalty-last-n 1048576 --reverse-prompt 'a b' --top-k 0 --top-p 1.0 --min-p 0.0"
        " --samplers 'penalties;dry;temperature'",
    ),
]
WRONG = [
    Wrong("llamacpp-ini", "[a]\ntemp = 1\n[b]\ntemp = 2", "which section"),
    Wrong("llamacpp-ini", "temp", "not an INI file"),
    Wrong("llamacpp-args", "--temp hot", "--temp is not understood"),
    Wrong("llamacpp-args", "--temp '1", "not a command line"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
