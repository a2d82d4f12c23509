"""The V2 runner: requests have slots, a step's rows come in any order, tokens are on the device.

With speculative decoding a request has one more row for each draft token, and only the device knows
which rows belong to which request. So every stage runs on all rows then, and its result is kept
only in the rows of requests that have the stage. How many draft tokens were accepted is seen at the
next step, from the tokens: modes and states follow these alone.

vLLM creates logits processors while it loads the model, in the memory pool of the weights, which
sleep mode empties at level 2. So what stays on the device is created at the first step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from vllm.logger import init_logger

from temperament.batch.arrays import Slots
from temperament.batch.drafts import StepRows
from temperament.batch.rows import Rows
from temperament.batch.running_tokens import RunningTokens
from temperament.engines.guard import Guard
from temperament.engines.vllm import embeddings
from temperament.engines.vllm.meter import Meter
from temperament.engines.vllm.requests import request_of
from temperament.engines.vllm.snapshots import Snapshots, Text
from temperament.engines.vllm.tokenizer import token_bytes
from temperament.engines.vllm.unseeded import Unseeded
from temperament.engines.vllm.warm_up import warm_up

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

logger = init_logger("vllm.temperament")


class V2Batch:
    """The rows of a V2 runner."""

    def __init__(
        self, vllm_config: VllmConfig, req_states: LogitsProcRequestState, meter: Meter
    ) -> None:
        self._vocabulary = partial(token_bytes, vllm_config)
        self._states = req_states
        speculative = vllm_config.speculative_config
        self._drafts = speculative.num_speculative_tokens if speculative else 0
        self._unseeded = Unseeded(vllm_config)
        self._size = vllm_config.model_config.get_vocab_size()
        self._takes_embeddings = vllm_config.model_config.enable_prompt_embeds
        self._guard = Guard(logger, meter, self._give_up, self._restart)
        # None until the first request
        self._rows: Rows | None = None
        warm_up(self._states.device, self._new_rows, self._states.vocab_size)
        self._restart()

    @property
    def rows(self) -> Rows:
        """Returns the rows of all slots, which are created at the first call."""
        if self._rows is None:
            self._rows = self._new_rows()
        return self._rows

    def _new_rows(self) -> Rows:
        # Steps with and without draft tokens must give a row the same bits.
        candidates = not self._drafts
        slots, device = self._states.max_num_reqs, self._states.device
        return Rows(slots, device, self._vocabulary, candidates=candidates, drafts=self._drafts)

    def _restart(self) -> None:
        slots = self._states.max_num_reqs
        self._rows = None
        # slots of requests with modes whose tokens have not been read yet
        self._unread: list[int] = []
        # slot -> the parameters of a new request that can't see a prompt of embeddings
        self._blind: dict[int, SamplingParams] = {}
        # slot -> the request's parameters, for slots whose snapshot is kept
        self._stateful: dict[int, SamplingParams] = {}
        # [slots] the number of tokens in the prompt, and of all tokens at the last step
        self._prompt = np.zeros(slots, dtype=np.int64)
        self._seen = np.zeros(slots, dtype=np.int64)
        self._snapshots = Snapshots()
        # slots of requests that joined and for which no snapshot has been searched yet
        self._joined: set[int] = set()
        # the slots of the last step's requests: the runner's bytes, and the same as int64
        self._mapping, self._slots = b"", np.zeros(0, dtype=np.int64)
        # every row's tokens
        self._running = RunningTokens(slots, self._states.device, drafts=self._drafts)

    def add(self, slot: int, params: SamplingParams) -> bool:
        """Gives a slot to a request; returns whether we change its logits."""
        self._guard.attempt(slot, partial(self._keep, slot))
        self._guard.attempt(slot, partial(self._add, slot, params))
        return self._rows is not None and self._rows.active(np.array([slot]))

    def _add(self, slot: int, params: SamplingParams) -> None:
        request = request_of(params, self._unseeded.seed(), self._size)
        self._joined.discard(slot)
        self._running.forget(slot)
        self.rows.write(slot, request)
        self._blind.pop(slot, None)
        if self._takes_embeddings and any(embeddings.blind(params)):
            self._blind[slot] = params
        if request.switching is not None:
            self._unread.append(slot)
        if self.rows.remembers(slot):
            self._stateful[slot] = params
            self._prompt[slot] = self._states.prompt_len.np[slot]
            self._seen[slot] = 0
            self._joined.add(slot)

    def flush(self) -> None:
        """Copies new parameters to the device, and reads the tokens of new requests with modes.

        A request that was preempted has output already, and `start: auto` depends on the prompt.
        """
        if self._rows is None:
            return
        try:
            self.rows.table.flush()
        except Exception as error:
            self._guard.give_up_all(error)
        for slot in dict.fromkeys(self._unread):
            self._guard.attempt(slot, partial(self._read, slot))
        self._unread.clear()
        for slot, params in self._blind.items():
            self._guard.attempt(slot, partial(self._report, slot, params))
        self._blind.clear()

    def _report(self, slot: int, params: SamplingParams) -> None:
        """Reports a prompt of embeddings, for which the runner has tokens with id 0."""
        prompt = int(self._states.prompt_len.np[slot])
        if not self._states.all_token_ids.gpu[slot, :prompt].any():
            embeddings.report(params)

    def _read(self, slot: int) -> None:
        middle = int(self._states.prompt_len.np[slot])
        end = int(self._states.prefill_len.np[slot])
        tokens = self._states.all_token_ids.gpu[slot, :end].tolist()
        self.rows.read(slot, tokens[:middle], tokens[middle:])

    def apply(self, logits: Tensor, context: LogitsContext) -> Tensor:
        """Returns [rows, vocab] float32 logits, changed in place."""
        if self._rows is None:
            return logits
        mapping = context.idx_mapping_np.tobytes()
        if mapping != self._mapping:
            self._mapping, self._slots = mapping, context.idx_mapping_np.astype(np.int64)
        batch = self._rows.batch(self._slots)
        slots = self._slots = batch.slots
        if not batch.active:
            return logits

        def rows_of(slot: int) -> Tensor:
            mapping: Tensor = context.expanded_idx_mapping
            return (mapping == slot).nonzero()[:, 0]

        def changes_once() -> bool:
            return self.rows.changes_once(slots, logits.shape[1])

        def switches() -> int:
            return self.rows.switches

        step = partial(self._step, context=context)
        return self._guard.run(logits, slots, step, rows_of, switches, changes_once)

    def _step(
        self, logits: Tensor, slots: Slots, part: Tensor | None, context: LogitsContext
    ) -> Tensor:
        """Runs a step's presets on [rows, vocab] logits.

        `slots` are the requests of the batch, and `part` is None. After an error the guard runs the
        requests one by one: `slots` is one of them then, and `part` ([rows] int64) are its rows.
        """
        lengths = context.seq_lens_upper_bound_np.astype(np.int64)  # [requests]
        if part is not None:
            lengths = lengths[context.idx_mapping_np == slots[0]]
        if self._stateful:
            self._restore_preempted(slots)
            self._seen[slots] = lengths
        drafting = context.expanded_idx_mapping.shape[0] != context.idx_mapping_np.shape[0]
        rows = StepRows(
            context.expanded_idx_mapping, context.expanded_local_pos, context.pos, context.input_ids
        )
        if part is not None:
            rows = StepRows(*(each.index_select(0, part) for each in rows))
        history = None
        if self.rows.batch(slots).tokens:
            tables = self._states.all_token_ids.gpu, self._states.prompt_len.gpu
            history = self._running.history(*tables, rows, max(lengths.tolist()))
        new = self._drafts + 1  # the most tokens that a step commits
        if not drafting:
            # Without speculative decoding, the upper bounds of the lengths are the lengths.
            ends = None if self._drafts else lengths
            return self.rows.run(logits, slots, history, ends, bounds=lengths, new=new)
        slot_of_row = None if history is None else history.text
        if slot_of_row is None:
            slot_of_row = rows.slots.long()
        return self.rows.run_expanded(
            logits, slots, slot_of_row, rows.before, history, bounds=lengths, new=new
        )

    def _give_up(self, slot: int) -> str:
        label = self.rows.label(slot)
        self._stateful.pop(slot, None)
        self._joined.discard(slot)
        self.rows.clear(slot)
        return label

    def _keep(self, slot: int) -> None:
        """Keeps a snapshot of a slot whose request has left."""
        if slot in self._stateful:
            self._save(slot, self._last(slot))
            del self._stateful[slot]

    def _save(self, slot: int, end: int) -> None:
        """Keeps a snapshot of a slot whose last step had `end` tokens."""
        # The runner writes a new request's tokens into its table only later, so the tokens of the
        # request that left are still there.
        prompt = int(self._prompt[slot])
        generated = end + 1 - prompt if self._drafts else None
        saved = self.rows.save(slot, generated)
        self._snapshots.put(self._stateful[slot], saved, self._text(slot, prompt, end))

    def _last(self, slot: int) -> int:
        """Returns the number of tokens from which the last token of a slot was drawn."""
        if not self._drafts:
            return int(self._seen[slot])
        # Only the device knows how many draft tokens were accepted. This waits for it, once for
        # each request with a state.
        return int(self._states.total_len.gpu[slot]) - 1

    def _text(self, slot: int, prompt: int, end: int) -> Text:
        return prompt, self._states.all_token_ids.gpu[slot, :end].clone()

    def _restore_preempted(self, slots: Slots) -> None:
        """Restores the snapshots of preempted requests that are in the batch again."""
        if not self._joined:
            return
        for slot in self._joined.intersection(slots.tolist()):
            prompt, end = int(self._prompt[slot]), int(self._states.prefill_len.np[slot])
            self._joined.remove(slot)
            if end == prompt:  # no output yet: a new request
                continue
            # A request that comes back has one token more than at its last step. If its old slot is
            # still free, its state is in that slot.
            for other in self._stateful.keys() - {*slots.tolist()}:
                if (self._prompt[other], self._last(other)) == (prompt, end - 1):
                    self._save(other, end - 1)
            text = self._text(slot, prompt, end - 1)
            snapshot = self._snapshots.take(self._stateful[slot], text)
            if snapshot is not None:
                self.rows.restore(slot, snapshot)
