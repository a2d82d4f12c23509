"""Float32 as integers of the same order, in kernels."""

import triton
import triton.language as tl

FLOAT_MAX = tl.constexpr(3.4028234663852886e38)
INFINITY = tl.constexpr(float("inf"))
KEY_OF_LEAST = tl.constexpr(-2139095041)  # the key of -inf


@triton.jit
def key(x):
    """Int32 numbers in the order of float32 numbers."""
    bits = x.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def from_key(number):
    """The float32 numbers of `key`."""
    return (number ^ ((number >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def next_up(x):
    """The next larger float32."""
    return from_key(key(x) + 1)
