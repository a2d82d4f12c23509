"""vLLM's defaults, config files and request bodies: what is read and written."""

from tests.interchange.files import Export, File, export_test, file_tests

FILES = [
    File(
        "vllm",
        "",
        '{"temperature": 0.7, "top_k": -1, "top_p": 0.8, "min_p": 0.1, "max_new_tokens": 9}',
        {
            "order": ["temperature", "min_p", "top_p"],
            "temperature": 0.7, "top_k": 0, "top_p": 0.8, "min_p": 0.1, "max_tokens": 9,
        },
        recognised=False,
    ),
    File(
        "vllm-config",
        "serve.yaml",
        "model: Qwen/Qwen3-8B\nmax-model-len: 4096\n"
        "override-generation-config: '{\"temperature\": 0.6, \"top_k\": 20}'\n",
        {"temperature": 0.6, "top_k": 20},
        {("left", "model"), ("left", "max-model-len")},
    ),
    File(
        "vllm-extra-body",
        "request.json",
        """{"temperature": 0.8, "extra_body": {"top_k": 20, "min_tokens": 4, "n": 2,
        "stop_token_ids": [7], "ignore_eos": true, "logit_bias": {"5": -100}}, "model": "m"}""",
        {
            "min_new_tokens": 4, "logit_bias": {5: -100.0}, "temperature": 0.8, "top_k": 20,
            "num_return_sequences": 2, "eos_token_id": [7],
        },
        {("left", "model")},
    ),
]  # fmt: skip
EXPORTS = [
    Export(
        "vllm", {"temperature": 3.0, "dry_multiplier": 1.0}, {}, {"temperature", "dry_multiplier"}
    ),
    Export("vllm", {"top_p": 0.9, "min_p": 0.1}, {"top_p": 0.9, "min_p": 0.1}, {"order"}),
    Export(
        "vllm-extra-body",
        {"top_p": 0.5, "temperature": 0.7, "seed": 3, "min_p": 0.1},
        {"top_p": 0.5, "temperature": 0.7, "min_p": 0.1, "seed": 3},
    ),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
