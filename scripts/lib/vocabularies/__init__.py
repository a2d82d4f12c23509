"""Real tokenizers: the bytes of their tokens, and this project's texts under each."""
