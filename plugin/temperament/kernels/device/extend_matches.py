"""The kernel that appends a token to a row's `temperament.batch.suffix_matches`."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["length_stride", "token_stride", "positions"])
def extend_matches(
    lengths,
    length_stride,
    slots,
    tokens,
    token_stride,
    starts,
    ends,
    result,
    positions,
    BLOCK: tl.constexpr,
):
    """Appends each row's last token to the matches of its slot; copies them to `result`.

    `length'[i] = length[i - 1] + 1 if history[i] == token else 0`, from the end on, so that no
    length is overwritten before it is read.
    """
    row = tl.program_id(0).to(tl.int64)
    lengths += tl.load(slots + row) * length_stride
    tokens += row * token_stride
    result += row * positions
    start = tl.load(starts + row)
    end = tl.load(ends + row)
    last = tl.load(tokens + tl.maximum(end - 1, 0))
    lanes = tl.arange(0, BLOCK)
    blocks = tl.cdiv(positions, BLOCK)
    for number in range(blocks):
        at = (blocks - 1 - number) * BLOCK + lanes
        inside = at < positions
        token = tl.load(tokens + at, mask=inside, other=-1)
        old = tl.load(lengths + at - 1, mask=inside & (at > 0), other=0)
        equal = inside & (token == last) & (at >= start) & (at < end - 1)
        length = tl.where(equal, old + 1, 0)
        tl.debug_barrier()
        tl.store(lengths + at, length, mask=inside)
        tl.store(result + at, length, mask=inside)
        tl.debug_barrier()
