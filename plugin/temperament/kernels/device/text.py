"""The tokens of a row, as the kernels read them."""

from typing import NamedTuple

import triton.language as tl


class Text(NamedTuple):
    """A row's tokens at the positions `first` <= i < `last`; at `middle` its output begins."""

    tokens: tl.tensor
    first: tl.tensor
    middle: tl.tensor
    last: tl.tensor
