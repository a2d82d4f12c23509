"""LiteLLM's model_list: files, what they are read as, and what is written."""

from tests.interchange.files import File, Wrong, file_tests, refusal_test

FILES = [
    File(
        "litellm",
        "config.yaml",
        "model_list:\n- model_name: creative\n  litellm_params:\n    model: hosted_vllm/qwen\n"
        "    api_base: http://127.0.0.1:8000/v1\n    api_key: os.environ/KEY\n"
        "    temperature: 1.2\n"
        "    extra_body: {min_p: 0.05, dry_multiplier: 0.8}\n"
        "- model_name: other\n  litellm_params: {model: x}\n",
        {"dry_multiplier": 0.8, "temperature": 1.2, "min_p": 0.05},
        {("left", "model"), ("left", "api_base"), ("left", "api_key")},
        "creative",
    ),
]  # fmt: skip
WRONG = [
    Wrong("litellm", "a: 1", "no model_list"),
    Wrong("litellm", "model_list: [{model_name: a}, {model_name: b}]", "which entry"),
]

test_reading, test_recognition = file_tests(FILES)
test_refusal = refusal_test(WRONG)
