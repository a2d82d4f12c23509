"""The noise of `temperament.ops.noise` in kernels: the same bits."""

import triton
import triton.language as tl

_GOLDEN = tl.constexpr(0x9E3779B97F4A7C15 - 2**64)
_FIRST = tl.constexpr(0xBF58476D1CE4E5B9 - 2**64)
_SECOND = tl.constexpr(0x94D049BB133111EB - 2**64)


@triton.jit
def _mix(bits):
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * _FIRST
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return bits ^ ((bits >> 31) & 0x1FFFFFFFF)


@triton.jit
def noise_key(seed, position, draw):
    """Int64: the noise of a seed, a position and a draw."""
    bits = _mix(_mix(seed * _GOLDEN + _GOLDEN) + position * _GOLDEN)
    return _mix(bits + (position * 0 + draw) * _GOLDEN)


@triton.jit
def uniform(noise):
    """Float64 in [0, 1)."""
    return ((noise >> 11) & 0x1FFFFFFFFFFFFF).to(tl.float64) * 1.1102230246251565e-16


@triton.jit
def gumbel(noise, token):
    """Float64: standard Gumbel noise of tokens (int64)."""
    bits = (_mix(noise + token * _GOLDEN) >> 12) & 0xFFFFFFFFFFFFF
    share = (bits.to(tl.float64) + 0.5) * 2.220446049250313e-16
    return -tl.log(-tl.log(share))
