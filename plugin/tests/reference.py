"""Every stage on one row, in plain Python: the definition that the ops must agree with.

Logits in, logits out, as lists of floats; -inf is a token that was removed. One function a stage,
with the stage's parameters as keywords, and what else it needs: the row's `prompt` and `output`,
its `seed` and the `position` that is drawn, the `ends` of its text and its `limit` of tokens, and
the bytes of all `tokens`. A stage with a state is a class that takes steps.
Written for reading, not for speed; `ROWS` at the end is all that a new stage adds to.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from temperament.presets import Chain
from temperament.stages import BY_NAME, FLOAT32_MAX, FLOAT32_TINY

Row = list[float]
REMOVED = -math.inf


class Around(NamedTuple):
    """What a row has beside its logits, its values and its tokens."""

    seed: int = 0
    # how many tokens it may generate, -1 if that isn't known
    limit: int = -1
    # the ids that end its text
    ends: Sequence[int] = ()
    # the bytes of every token
    tokens: Sequence[bytes] = ()


def softmax(x: Row) -> Row:
    """Probabilities over what is still allowed."""
    best = max(x)
    masses = [math.exp(value - best) for value in x]
    total = math.fsum(masses)
    return [mass / total for mass in masses]


def keep(x: Row, wanted: Callable[[int], bool]) -> Row:
    """Removes the tokens that aren't wanted."""
    return [value if wanted(token) else REMOVED for token, value in enumerate(x)]


def logit_bias(x: Row, *, logit_bias: Sequence[tuple[int, float]]) -> Row:
    """`x + b` for the tokens that are named."""
    biases = dict(logit_bias)
    return [value + biases.get(token, 0.0) for token, value in enumerate(x)]


def repetition_penalty(
    x: Row,
    *,
    repetition_penalty: float,
    repetition_range: int,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """`x / r` if x > 0, else `x * r`, once for each distinct token of the last `range` ones."""
    r, seen = repetition_penalty, {*[*prompt, *output][-repetition_range:]}
    return [
        value if token not in seen else value / r if value > 0 else value * r
        for token, value in enumerate(x)
    ]


def frequency_penalty(
    x: Row, *, frequency_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - count * f`, counted in the output."""
    return [value - output.count(token) * frequency_penalty for token, value in enumerate(x)]


def presence_penalty(
    x: Row, *, presence_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - q` for what stands in the output."""
    return [value - (token in output) * presence_penalty for token, value in enumerate(x)]


def temperature(x: Row, *, temperature: float) -> Row:
    """`x / T`; 0 keeps the first of the largest."""
    if temperature == 0:
        best = x.index(max(x))
        return keep(x, lambda token: token == best)
    return [value / temperature for value in x]


def top_k(x: Row, *, top_k: int) -> Row:
    """The k largest, and what is tied with the k-th."""
    last = sorted(x, reverse=True)[:top_k][-1]
    return keep(x, lambda token: x[token] >= last)


def top_p(x: Row, *, top_p: float) -> Row:
    """The fewest of the most likely with a mass of at least p, and what is tied with the last."""
    mass = 0.0
    for probability, value in sorted(zip(softmax(x), x, strict=True), reverse=True):
        mass, last = mass + probability, value
        if mass >= top_p:
            break
    return keep(x, lambda token: x[token] >= last)


def min_p(x: Row, *, min_p: float) -> Row:
    """What is at least m times as likely as the most likely."""
    p = softmax(x)
    least = min_p * max(p)
    return keep(x, lambda token: p[token] >= least)


def nats(p: Row) -> float:
    """The entropy."""
    return -math.fsum(share * math.log(share) for share in p if share)


def ranked(x: Row) -> list[int]:
    """The tokens that are left, the most likely first, equal ones by their ids."""
    left = [token for token, value in enumerate(x) if value > REMOVED]
    return sorted(left, key=lambda token: -x[token])


def remove_invalid_values(x: Row, *, remove_invalid_values: bool) -> Row:
    """NaN becomes 0, +inf the largest number of float32."""
    return [0.0 if math.isnan(value) else min(value, FLOAT32_MAX) for value in x]


def dynamic_temperature(
    x: Row, *, dynatemp_low: float, dynatemp_high: float, dynatemp_exponent: float
) -> Row:
    """`x / T`, T between low and high as the entropy is between 0 and that of equal chances.

    One candidate: nothing. H is `ln S - sum p d`, d = x - max; what float32 holds as no mass takes
    no part in it.
    """
    candidates = len(ranked(x))
    if candidates == 1:
        return x
    masses = [math.exp(value - max(x)) for value in x]
    masses = [mass if mass > 2**-149 else 0.0 for mass in masses]
    alike = masses.count(1.0)
    rest = math.fsum(mass for mass in masses if mass < 1)
    below = -math.fsum(mass * math.log(mass) for mass in masses if mass) / (alike + rest)
    flatness = (math.log(alike) + math.log1p(rest / alike) + below) / math.log(candidates)
    way = min(flatness, 1.0) ** dynatemp_exponent
    t = (1 - way) * dynatemp_low + way * dynatemp_high
    return temperature(x, temperature=max(t, FLOAT32_TINY))


def smoothing(x: Row, *, smoothing_factor: float, smoothing_curve: float) -> Row:
    """`max - k f d^2 + s f d^3`."""
    k, s = (3 - smoothing_curve) / 2, (smoothing_curve - 1) / 2
    best = max(x)
    fall = [-k * (value - best) ** 2 + s * (value - best) ** 3 for value in x]
    return [
        REMOVED if value == REMOVED else best + smoothing_factor * change
        for value, change in zip(x, fall, strict=True)
    ]


def typical_p(x: Row, *, typical_p: float) -> Row:
    """The fewest of the most typical with a mass of at least t, and what is tied with the last."""
    p = softmax(x)
    entropy = nats(p)
    strange = [abs(-math.log(share) - entropy) if share else math.inf for share in p]
    mass = 0.0
    for strangeness, share in sorted(zip(strange, p, strict=True)):
        mass, last = mass + share, strangeness
        if mass >= typical_p:
            break
    return keep(x, lambda token: strange[token] <= last)


def at_least(x: Row, least: float) -> Row:
    """What has this probability, and the most likely."""
    p = softmax(x)
    return keep(x, lambda token: p[token] >= min(least, max(p)))


def epsilon_cutoff(x: Row, *, epsilon_cutoff: float) -> Row:
    """What has a probability of at least e."""
    return at_least(x, epsilon_cutoff)


def eta_cutoff(x: Row, *, eta_cutoff: float) -> Row:
    """What has a probability of at least min(e, sqrt(e) exp(-H))."""
    e = eta_cutoff
    return at_least(x, min(e, math.sqrt(e) * math.exp(-nats(softmax(x)))))


def top_a(x: Row, *, top_a: float) -> Row:
    """What has at least a times the square of the largest probability."""
    return at_least(x, top_a * max(softmax(x)) ** 2)


def tfs(x: Row, *, tfs: float) -> Row:
    """While the second differences up to the token's own are at most z of them all."""
    order = ranked(x)
    p = softmax(x)
    bends = [
        abs(p[a] - 2 * p[b] + p[c]) for a, b, c in zip(order, order[1:], order[2:], strict=False)
    ]
    total = math.fsum(bends)
    if total <= 1e-12 * max(p):
        return x
    last = order[0]
    for token, place in zip(order[1:], range(1, len(order)), strict=False):
        if math.fsum(bends[:place]) > tfs * total:
            break
        last = token
    return keep(x, lambda token: x[token] >= x[last])


def top_n_sigma(x: Row, *, top_n_sigma: float) -> Row:
    """What lies within n standard deviations of the largest."""
    least = max(x) - top_n_sigma * statistics.pstdev(value for value in x if value > REMOVED)
    return keep(x, lambda token: x[token] >= least)


def top_h(x: Row, *, top_h: float) -> Row:
    """Of the top 100, while the tokens' parts of the entropy sum to at most h of it."""
    order = ranked(x)[:100]
    p = softmax([x[token] for token in order])
    parts = [nats([share]) for share in p]
    last = order[0]
    for place, token in enumerate(order):
        if math.fsum(parts[: place + 1]) > top_h * math.fsum(parts):
            break
        last = token
    return keep(x, lambda token: x[token] >= x[last])


def p_less(x: Row, *, p_less: bool) -> Row:
    """What is at least as likely as two draws are to be equal: `p >= sum p^2`, times S^2."""
    masses = [math.exp(value - max(x)) for value in x]
    total, squares = math.fsum(masses), math.fsum(mass * mass for mass in masses)
    return keep(x, lambda token: masses[token] * total >= squares)


def skew(x: Row, *, skew: float) -> Row:
    """`p_i' = F_i^a - F_(i-1)^a`, as `F_i^a (1 - exp(-a ln(F_i / F_(i-1))))`."""
    a = math.exp(skew)
    order = [token for token in ranked(x) if math.exp(x[token] - max(x)) > 0]
    p = softmax(x)
    after = [REMOVED] * len(x)
    for place, token in enumerate(order):
        up_to = math.log1p(-math.fsum(p[later] for later in order[place + 1 :]))
        if place == 0:
            after[token] = a * up_to
        else:
            before = math.fsum(p[earlier] for earlier in order[:place])
            grown = -math.expm1(-a * math.log1p(p[token] / before))
            after[token] = a * up_to + (math.log(grown) if grown else REMOVED)
    return after


def renormalize_logits(x: Row, *, renormalize_logits: bool) -> Row:
    """Log-probabilities."""
    total = math.fsum(math.exp(value - max(x)) for value in x)
    return [value - max(x) - math.log(total) for value in x]


def ban(x: Row, banned: Container[int]) -> Row:
    """Removes tokens; where no other is left, the best of them stay."""
    left = any(value > REMOVED and token not in banned for token, value in enumerate(x))
    return keep(x, lambda token: token not in banned or (not left and x[token] == max(x)))


def allowed_token_ids(x: Row, *, allowed_token_ids: Sequence[int]) -> Row:
    """No others."""
    return ban(x, set(range(len(x))) - set(allowed_token_ids))


def suppress_tokens(x: Row, *, suppress_tokens: Sequence[int]) -> Row:
    """Not these."""
    return ban(x, suppress_tokens)


def begin_suppress_tokens(
    x: Row, *, begin_suppress_tokens: Sequence[int], prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not these as the first of the output."""
    return x if output else ban(x, begin_suppress_tokens)


def continues(tokens: Sequence[int], sequence: Sequence[int]) -> bool:
    """Whether the sequence's last token would complete it behind these."""
    before = list(sequence[:-1])
    return not before or list(tokens[-len(before) :]) == before


def bad_words_ids(
    x: Row, *, bad_words_ids: Sequence[Sequence[int]], prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not the last token of a sequence that stands there but for it."""
    history = [*prompt, *output]
    return ban(x, {word[-1] for word in bad_words_ids if continues(history, word)})


def sequence_bias(
    x: Row,
    *,
    sequence_bias: Sequence[tuple[Sequence[int], float]],
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """`x + b` for the last token of each sequence that stands there but for it."""
    after = list(x)
    for sequence, bias in sequence_bias:
        if continues([*prompt, *output], sequence):
            after[sequence[-1]] += bias
    return after


def min_new_tokens(
    x: Row,
    *,
    min_new_tokens: int,
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """No end before n tokens."""
    return ban(x, ends) if len(output) < min_new_tokens else x


def exponential_decay_length_penalty(
    x: Row,
    *,
    exponential_decay_length_penalty: float,
    exponential_decay_start: int,
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """`x + |x| (f^(n - s) - 1)` for the end, n > s."""
    past = len(output) - exponential_decay_start
    if past <= 0:
        return x
    growth = power(exponential_decay_length_penalty, past) - 1
    return [
        value
        if token not in ends or value in (0, REMOVED)
        else max(-FLOAT32_MAX, min(value + abs(value) * growth, FLOAT32_MAX))
        for token, value in enumerate(x)
    ]


def power(base: float, exponent: float) -> float:
    """`base^exponent`, inf where it is too large."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def forced_bos_token_id(
    x: Row, *, forced_bos_token_id: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """This one alone, behind one token."""
    forced = len(prompt) + len(output) == 1 and forced_bos_token_id < len(x)
    return ban(x, set(range(len(x))) - {forced_bos_token_id}) if forced else x


def forced_eos_token_id(
    x: Row,
    *,
    forced_eos_token_id: Sequence[int],
    prompt: Sequence[int],
    output: Sequence[int],
    ends: Sequence[int],
    limit: int,
) -> Row:
    """One of these, with equal odds, if it is the last that the limit allows."""
    if len(output) + 1 != limit:
        return x
    left = ban(x, set(range(len(x))) - set(forced_eos_token_id))
    return [value if value == REMOVED else 0.0 for value in left]


def encoder_repetition_penalty(
    x: Row, *, encoder_repetition_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x * r` if x > 0, else `x / r`, once for each distinct token of the prompt."""
    r = encoder_repetition_penalty
    return [
        value if token not in prompt else value * r if value > 0 else value / r
        for token, value in enumerate(x)
    ]


def no_repeat_ngram_size(
    x: Row, *, no_repeat_ngram_size: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not what would make an n-gram stand twice."""
    history = [*prompt, *output]
    return ban(x, followers(history, history, no_repeat_ngram_size - 1))


def encoder_no_repeat_ngram_size(
    x: Row, *, encoder_no_repeat_ngram_size: int, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """Not what would make an n-gram of the prompt stand once more."""
    return ban(x, followers(prompt, [*prompt, *output], encoder_no_repeat_ngram_size - 1))


def followers(text: Sequence[int], history: Sequence[int], length: int) -> set[int]:
    """What stands in a text behind the history's last `length` tokens."""
    if length > len(history):
        return set()
    last = list(history[len(history) - length :])
    return {
        text[place]
        for place in range(length, len(text))
        if list(text[place - length : place]) == last
    }


def spelt(history: Sequence[int], tokens: Sequence[bytes]) -> Iterator[bytes]:
    """The bytes before each token of a history, then all; one without bytes starts anew."""
    text = b""
    for token in history:
        yield text
        known = 0 <= token < len(tokens) and tokens[token]
        text = text + known if known else b""
    yield text


def completes(before: bytes, token: bytes, texts: Sequence[str]) -> bool:
    """Whether one of the texts ends within the token."""
    encoded = [text.encode() for text in texts]
    return any(text in before[max(0, len(before) + 1 - len(text)) :] + token for text in encoded)


def banned_strings(
    x: Row,
    *,
    banned_strings: Sequence[str],
    prompt: Sequence[int],
    output: Sequence[int],
    tokens: Sequence[bytes],
) -> Row:
    """Not a token within which one of the texts would end."""
    *_, text = spelt(output, tokens)
    return ban(
        x, {i for i, token in enumerate(tokens) if token and completes(text, token, banned_strings)}
    )


def dry(
    x: Row,
    *,
    dry_multiplier: float,
    dry_base: float,
    dry_allowed_length: int,
    dry_range: int,
    dry_sequence_breakers: Sequence[str],
    prompt: Sequence[int],
    output: Sequence[int],
    tokens: Sequence[bytes],
) -> Row:
    """`x - m b^(L - a)` for what would go on with a match of L >= a tokens, the longest one."""

    def breaks(token: int, before: bytes) -> bool:
        known = 0 <= token < len(tokens) and tokens[token]
        return bool(known) and completes(before, known, dry_sequence_breakers)

    history = [*prompt, *output]
    *before, text = spelt(history, tokens)
    start = max(0, len(history) - dry_range) if dry_range else 0
    broken = [place for place, token in enumerate(history) if breaks(token, before[place])]
    longest = len(history) - 1 - max([start - 1, *broken])
    lengths: dict[int, int] = {}
    for place in range(start, len(history)):
        length = 0
        while (
            length < longest
            and place - length > start
            and history[place - length - 1] == history[len(history) - length - 1]
        ):
            length += 1
        token = history[place]
        lengths[token] = max(length, lengths.get(token, 0))
    after = list(x)
    for token, length in lengths.items():
        if 0 <= token < len(x) and length >= dry_allowed_length and not breaks(token, text):
            loss = dry_multiplier * power(dry_base, length - dry_allowed_length)
            if x[token] > REMOVED:
                after[token] = max(x[token] - loss, -FLOAT32_MAX)
    return after


SIXTY_FOUR = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(bits: int) -> int:
    """The finalizer of splitmix64."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & SIXTY_FOUR
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & SIXTY_FOUR
    return bits ^ (bits >> 31)


def noise(seed: int, position: int, draw: int) -> int:
    """64 bits."""
    bits = 0
    for number in (seed + 1, position, draw):
        bits = mix((bits + number * GOLDEN) & SIXTY_FOUR)
    return bits


def uniform(seed: int, position: int, draw: int) -> float:
    """In [0, 1)."""
    return (noise(seed, position, draw) >> 11) / 2**53


def gumbel(seed: int, position: int, draw: int, token: int) -> float:
    """Standard Gumbel noise of a token."""
    bits = mix((noise(seed, position, draw) + token * GOLDEN) & SIXTY_FOUR)
    return -math.log(-math.log(((bits >> 12) + 0.5) / 2**52))


def xtc(
    x: Row,
    *,
    xtc_probability: float,
    xtc_threshold: float,
    xtc_protected: Sequence[int],
    xtc_protect_structure: bool,
    seed: int,
    position: int,
    ends: Sequence[int],
    limit: int,
    tokens: Sequence[bytes],
) -> Row:
    """If the roll says so: of those with `p >= t` the least likely, and what is protected."""
    p = softmax(x)
    top = [token for token in range(len(x)) if p[token] >= xtc_threshold and x[token] > REMOVED]
    if uniform(seed, position, 1) >= xtc_probability or not top:
        return x
    spared = set(xtc_protected)
    if xtc_protect_structure:
        spared |= {*ends, *(i for i, token in enumerate(tokens) if b"\n" in token)}
    least = min(x[token] for token in top)
    return keep(x, lambda token: token not in top or token in spared or x[token] == least)


class Mirostat:
    """A row under mirostat: `step`, then `accept` the token that was drawn."""

    def __init__(self, mirostat: int, mirostat_tau: float, mirostat_eta: float) -> None:
        self.version, self.tau, self.eta = mirostat, mirostat_tau, mirostat_eta
        self.mu = 2 * mirostat_tau
        self.drawn_from: Row = []

    def step(self, x: Row) -> Row:
        """What it leaves."""
        p = softmax(x)
        if self.version == 1:
            last = sorted(x, reverse=True)[self.count(x) - 1]
            after = keep(x, lambda token: x[token] >= last)
        else:
            bits = [-math.log2(share) if share else math.inf for share in p]
            after = keep(x, lambda token: bits[token] <= max(self.mu, min(bits)))
        self.drawn_from = softmax(after)
        return after

    def count(self, x: Row) -> int:
        """Version 1's k, from the 100 most likely, as if all followed Zipf's law."""
        top = [value for value in sorted(x, reverse=True)[:100] if value > REMOVED]
        falls = list(pairwise(top))
        steps = [math.log((i + 1) / i) for i in range(1, len(top))]
        slope = sum(t * (a - b) for t, (a, b) in zip(steps, falls, strict=True))
        exponent = max(slope / sum(t * t for t in steps), 1e-3) if falls else 1.0
        e, size = exponent - 1, len(x)
        if size == 1:
            return 1
        share = e / -math.expm1(-e * math.log(size)) if abs(e) > 1e-9 else 1 / math.log(size)
        log_count = (math.log(share) + self.mu * math.log(2)) / exponent
        return int(math.exp(max(0.0, min(log_count, math.log(size + 0.5)))))

    def accept(self, token: int) -> None:
        """The token that was drawn."""
        surprise = -math.log2(self.drawn_from[token])
        self.mu -= self.eta * (surprise - self.tau)


def mirostat(
    x: Row,
    *,
    mirostat: int,
    mirostat_tau: float,
    mirostat_eta: float,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """The first step."""
    return Mirostat(mirostat, mirostat_tau, mirostat_eta).step(x)


class AdaptiveP:
    """A row under adaptive-p: `step`, then `accept` the token that was drawn."""

    def __init__(self, adaptive_target: float, adaptive_decay: float) -> None:
        self.target, self.decay = adaptive_target, adaptive_decay
        self.average = adaptive_target
        self.before: Row = []

    def step(self, x: Row) -> Row:
        """What it makes of the logits."""
        self.before = softmax(x)
        aim = max(0.0, min(2 * self.target - self.average, 1.0))
        far = [abs(p - aim) / 0.3 for p in self.before]
        return [
            REMOVED if value == REMOVED else 5 - 10 * d * d / (1 + d)
            for value, d in zip(x, far, strict=True)
        ]

    def accept(self, token: int) -> None:
        """The token that was drawn."""
        self.average = self.decay * self.average + (1 - self.decay) * self.before[token]


def adaptive_p(
    x: Row,
    *,
    adaptive_target: float,
    adaptive_decay: float,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """The first step."""
    return AdaptiveP(adaptive_target, adaptive_decay).step(x)


def reproducible(x: Row, *, reproducible: bool, seed: int, position: int) -> Row:
    """The largest of `x + g` alone."""
    noisy = [value + gumbel(seed, position, 2, token) for token, value in enumerate(x)]
    return keep(x, lambda token: noisy[token] == max(noisy))


ROWS: dict[str, Callable[..., Row]] = {
    stage.__name__: stage
    for stage in (
        logit_bias,
        repetition_penalty,
        frequency_penalty,
        presence_penalty,
        temperature,
        top_k,
        top_p,
        min_p,
        dynamic_temperature,
        smoothing,
        typical_p,
        epsilon_cutoff,
        eta_cutoff,
        top_a,
        tfs,
        top_n_sigma,
        top_h,
        p_less,
        skew,
        remove_invalid_values,
        renormalize_logits,
        allowed_token_ids,
        suppress_tokens,
        begin_suppress_tokens,
        bad_words_ids,
        min_new_tokens,
        sequence_bias,
        exponential_decay_length_penalty,
        forced_bos_token_id,
        forced_eos_token_id,
        encoder_repetition_penalty,
        dry,
        no_repeat_ngram_size,
        encoder_no_repeat_ngram_size,
        banned_strings,
        xtc,
        mirostat,
        adaptive_p,
        reproducible,
    )
}


def chain(
    x: Row,
    chain: Chain,
    prompt: Sequence[int] = (),
    output: Sequence[int] = (),
    around: Around = Around(),  # noqa: B008 - a tuple, which nothing can change
) -> Row:
    """The steps of a chain, one after another."""
    for step in chain.steps:
        stage, given = BY_NAME[step.stage], dict(step.values)
        if "history" in stage.needs:
            given |= {"prompt": prompt, "output": output}
        if "noise" in stage.needs:
            given |= {"seed": around.seed, "position": len(output)}
        if "ends" in stage.needs:
            given |= {"ends": around.ends, "limit": around.limit}
        if "vocabulary" in stage.needs or any(p.kind == "texts" for p in stage.parameters):
            given["tokens"] = around.tokens
        x = ROWS[step.stage](x, **given)
    return x
