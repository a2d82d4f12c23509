"""The kernel that reads new tokens and finds each row's mode.

One program a request. The specification is `temperament.batch.row_modes` with what it calls, for
rules that wait for texts, tokens and numbers of tokens.
"""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels import layout
from temperament.plan.automata import mode_automaton, triggers
from temperament.presets import modes

AUTOMATON = tl.constexpr(layout.MODE_NUMBERS.index("automaton"))
MODE = tl.constexpr(layout.MODE_NUMBERS.index("mode"))
STATE = tl.constexpr(layout.MODE_NUMBERS.index("state"))
ENTERED = tl.constexpr(layout.MODE_NUMBERS.index("entered"))
READ = tl.constexpr(layout.MODE_NUMBERS.index("read"))
TOP = tl.constexpr(layout.MODE_NUMBERS.index("top"))
DEPTH = tl.constexpr(layout.MODE_NUMBERS.index("depth"))
STEPS_HIGH = tl.constexpr(layout.MODE_NUMBERS.index("steps_high"))
STEPS_LOW = tl.constexpr(layout.MODE_NUMBERS.index("steps_low"))
STACK = tl.constexpr(len(layout.MODE_NUMBERS))
MAX_DEPTH = tl.constexpr(modes.MAX_DEPTH)
MAX_MODES = tl.constexpr(modes.MAX_MODES)
NO_RULE = tl.constexpr(mode_automaton.NO_RULE)
TO_BACK = tl.constexpr(mode_automaton.TO_BACK)
SAME_MODE = tl.constexpr(mode_automaton.SAME_MODE)
NO_TOKEN = tl.constexpr(triggers.NO_TOKEN)
SAME_STATE = tl.constexpr(triggers.SAME_STATE)
MAX_TOKEN_BYTES = tl.constexpr(triggers.MAX_TOKEN_BYTES)


class Tables(NamedTuple):
    """`temperament.batch.mode_tables.Tables`, of `size` tokens and `rests` rests of tokens."""

    next: tl.tensor
    event: tl.tensor
    set_of: tl.tensor
    offset: tl.tensor
    key: tl.tensor
    other_next: tl.tensor
    other_event: tl.tensor
    root: tl.tensor
    marks: tl.tensor
    mark_ends: tl.tensor
    after_mark: tl.tensor
    after_switch: tl.tensor
    rest_key: tl.tensor
    rest_token: tl.tensor
    choice: tl.tensor
    target: tl.tensor
    before: tl.tensor
    limit: tl.tensor
    limit_rule: tl.tensor
    pending: tl.tensor
    size: tl.tensor
    rests: tl.tensor
    longest: tl.tensor


class Place(NamedTuple):
    """In which mode a row is, and what decides how it goes on: int64 each."""

    mode: tl.tensor
    entered: tl.tensor
    top: tl.tensor
    depth: tl.tensor
    steps_high: tl.tensor
    steps_low: tl.tensor
    # [MAX_DEPTH]: the modes that `back` returns to, a ring
    stack: tl.tensor


@triton.jit
def _search(keys, low, end, wanted):
    """Where a key is among the ascending `keys` from `low` to `end`, and whether it is there."""
    high = end
    while low < high:
        middle = (low + high) // 2
        if tl.load(keys + middle) < wanted:
            low = middle + 1
        else:
            high = middle
    return low, tl.load(keys + low, mask=low < end, other=-1) == wanted


@triton.jit
def _step(tables, root, state, token):
    """(The state after a token, the event within it); other ids leave the state as it is."""
    known = (token >= 0) & (token < tables.size)
    token = tl.where(known, token, 0)
    place = root + state
    at = tl.load(tables.set_of + place) * tables.size + token
    after = tl.load(tables.next + at).to(tl.int64)
    event = tl.load(tables.event + at).to(tl.int64)
    low = tl.load(tables.offset + place)
    end = tl.load(tables.offset + place + 1)
    where, other = _search(tables.key, low, end, place * tables.size + token)
    after = tl.where(other, tl.load(tables.other_next + where, mask=other, other=0), after)
    event = tl.where(other, tl.load(tables.other_event + where, mask=other, other=0), event)
    state = tl.where(known & (after >= 0), after - root, state)
    return state, tl.where(known, event, 0)


@triton.jit
def _rest(tables, automaton, token, end):
    """What follows the first `end` bytes of a token."""
    key = (automaton * tables.size + token) * MAX_TOKEN_BYTES + end
    where, found = _search(tables.rest_key, end * 0, end * 0 + tables.rests, key)
    return tl.load(tables.rest_token + where, mask=found, other=NO_TOKEN)


@triton.jit
def _previous(place):
    """The mode that `back` returns to; undefined if there is none."""
    lanes = tl.arange(0, MAX_DEPTH)
    top = (place.top + MAX_DEPTH) % MAX_DEPTH
    return tl.sum(tl.where(lanes == top, place.stack, 0), 0)


@triton.jit
def _can_take(tables, place, rule):
    """Whether a rule (or NO_RULE) switches the mode."""
    target = tl.load(tables.target + tl.maximum(rule, 0))
    return (rule != NO_RULE) & ((target != TO_BACK) | (place.depth != 0))


@triton.jit
def _switch(tables, place, rule, count):
    """The place after a rule that can be taken."""
    lanes = tl.arange(0, MAX_DEPTH)
    target = tl.load(tables.target + rule)
    above = (place.top + 1) % MAX_DEPTH
    top = above
    stack = tl.where(lanes == above, place.mode, place.stack)
    mode = target
    depth = tl.minimum(place.depth + 1, MAX_DEPTH)
    if target == TO_BACK:
        mode = _previous(place)
        top = (place.top + MAX_DEPTH - 1) % MAX_DEPTH
        stack = place.stack
        depth = place.depth - 1
    entered = tl.maximum(count - tl.load(tables.before + rule).to(tl.int64), 0)
    return Place(mode, entered, top, depth, count * 0, count * 0, stack)


@triton.jit
def _read_token(tables, automaton, root, state, place, token, count):
    """(The state, the place) after a token: the rules on what is within it, then on numbers."""
    switched = tl.full((), 0, tl.int32)
    passes = tables.longest + 1
    while (token != NO_TOKEN) & (passes > 0):
        passes -= 1
        after, event = _step(tables, root, state, token)
        at = event * tables.longest
        # the first mark within the token whose rule can be taken
        number = tl.full((), 0, tl.int32)
        rule = count * 0 + NO_RULE
        mark = count * 0
        while number < tables.longest:
            found = tl.load(tables.marks + at + number)
            sets_off = tl.load(tables.choice + found * MAX_MODES + place.mode)
            if _can_take(tables, place, sets_off):
                rule = sets_off
                mark = found
                at += number
                number = number * 0 + tables.longest
            else:
                number += 1
        rest = count * 0 + NO_TOKEN
        if rule != NO_RULE:
            switched += 1
            place = _switch(tables, place, rule, count)
            begun = tl.load(tables.after_mark + mark)
            at_end = tl.load(tables.after_switch + root + after)
            after = tl.where(begun == SAME_STATE, at_end, begun)
            rest = _rest(tables, automaton, token, tl.load(tables.mark_ends + at))
        state = after
        token = rest
    if (switched == 0) & (count > 0):
        counting = automaton * MAX_MODES + place.mode
        rule = tl.load(tables.limit_rule + counting)
        over = count - place.entered >= tl.load(tables.limit + counting)
        if over & _can_take(tables, place, rule):
            place = _switch(tables, place, rule, count)
            state = tl.load(tables.after_switch + root + state)
    return state, place


@triton.jit(
    do_not_specialize=[
        "width",
        "token_stride",
        "size",
        "rests",
        "longest",
        "most",
        "drafts",
        "rows",
    ],
    do_not_specialize_on_alignment=[
        "packed",
        "slots",
        "befores",
        "tokens",
        "texts",
        "prompt_ends",
        "ends",
        "next",
        "event",
        "set_of",
        "offset",
        "key",
        "other_next",
        "other_event",
        "root",
        "marks",
        "mark_ends",
        "after_mark",
        "after_switch",
        "rest_key",
        "rest_token",
        "choice",
        "target",
        "before",
        "limit",
        "limit_rule",
        "pending",
        "switched",
        "drawn",
        "positions",
    ],
)
def advance_modes(
    packed,
    width,
    slots,
    befores,
    tokens,
    token_stride,
    texts,
    prompt_ends,
    ends,
    next,
    event,
    set_of,
    offset,
    key,
    other_next,
    other_event,
    root,
    marks,
    mark_ends,
    after_mark,
    after_switch,
    rest_key,
    rest_token,
    choice,
    target,
    before,
    limit,
    limit_rule,
    pending,
    size,
    rests,
    longest,
    most,
    drafts,
    switched,
    drawn,
    positions,
    rows,
):
    """Reads at most `most` tokens of each request, and then at most `drafts` draft tokens.

    A request's first row does all of its rows, which follow each other. The slot keeps the state
    before the draft tokens. `drawn` and `positions` ([rows]) get the modes in which the rows draw
    their next tokens, and how many tokens these modes have had.
    """
    row = tl.program_id(0).to(tl.int64)
    if tl.load(befores + row) == 0:
        tables = Tables(
            next,
            event,
            set_of,
            offset,
            key,
            other_next,
            other_event,
            root,
            marks,
            mark_ends,
            after_mark,
            after_switch,
            rest_key,
            rest_token,
            choice,
            target,
            before,
            limit,
            limit_rule,
            pending,
            size,
            rests,
            longest,
        )
        lanes = tl.arange(0, MAX_DEPTH)
        kept = packed + tl.load(slots + row) * width
        middle = tl.load(prompt_ends + row)
        end = tl.load(ends + row)
        text = tokens + tl.load(texts + row) * token_stride
        automaton = tl.load(kept + AUTOMATON)
        has_modes = (automaton >= 0).to(tl.int32)
        automaton = tl.maximum(automaton, 0)
        first = tl.load(root + automaton)
        state = tl.load(kept + STATE)
        read = tl.load(kept + READ)
        place = Place(
            tl.load(kept + MODE),
            tl.load(kept + ENTERED),
            tl.load(kept + TOP),
            tl.load(kept + DEPTH),
            tl.load(kept + STEPS_HIGH),
            tl.load(kept + STEPS_LOW),
            tl.load(kept + STACK + lanes),
        )
        tl.debug_barrier()  # all threads have read what is written below
        switches = tl.full((), 0, tl.int64)
        left = has_modes * most
        number = tl.full((), 0, tl.int32)
        storing = has_modes
        going = tl.full((), 1, tl.int32)
        while going != 0:
            while (read < end) & (left > 0):
                token = tl.load(text + read)
                read += 1
                left -= 1
                entered = place.entered
                state, place = _read_token(
                    tables, automaton, first, state, place, token, read - middle
                )
                switches += (place.entered != entered).to(tl.int64) * storing
            if storing != 0:
                tl.store(kept + MODE, place.mode)
                tl.store(kept + STATE, state)
                tl.store(kept + ENTERED, place.entered)
                tl.store(kept + READ, read)
                tl.store(kept + TOP, place.top)
                tl.store(kept + DEPTH, place.depth)
                tl.store(kept + STEPS_HIGH, place.steps_high)
                tl.store(kept + STEPS_LOW, place.steps_low)
                tl.store(kept + STACK + lanes, place.stack)
                tl.atomic_add(switched, switches, sem="relaxed")
                # From here on draft tokens are read, by the first row too if it lags behind.
                left = drafts
                storing = storing * 0
            else:
                mode = place.mode
                position = tl.maximum(end - middle - place.entered, 0)
                coming = tl.load(pending + (first + state) * MAX_MODES + mode)
                if (coming != SAME_MODE) & ((coming != TO_BACK) | (place.depth != 0)):
                    mode = tl.where(coming == TO_BACK, _previous(place), coming)
                    position = position * 0
                if has_modes == 0:
                    mode = mode * 0
                    position = end - middle
                tl.store(drawn + row + number, mode)
                tl.store(positions + row + number, position)
                number += 1
                inside = row + number < rows
                going = (tl.load(befores + row + number, mask=inside, other=0) == number).to(
                    tl.int32
                )
                end = tl.load(ends + row + number, mask=inside, other=0)
                text = tokens + tl.load(texts + row + number, mask=inside, other=0) * token_stride
