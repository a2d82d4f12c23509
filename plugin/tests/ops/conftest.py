"""One thread: the rows are small, and threads that share a busy machine wait for each other."""

import torch

torch.set_num_threads(1)
