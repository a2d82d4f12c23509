"""The V2 runner: requests have slots, a step's rows come in any order, tokens are on the device.

Under speculative decoding a request has a row for each draft token. The host doesn't know which
rows these are, so then every stage runs on all rows and its result is kept where it belongs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from temperament.batch.rows import TOKENS, Rows
from temperament.batch.table import Slots
from temperament.engines.vllm.params import request_of, token_bytes
from temperament.engines.vllm.parked import Parked
from temperament.ops.inputs import History

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState


class V2Batch:
    """The rows of a V2 runner."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        vocabulary = partial(token_bytes, vllm_config)
        self._states = req_states
        speculative = vllm_config.speculative_config
        self._drafts = speculative.num_speculative_tokens if speculative else 0
        # A row must not differ by a bit between steps with draft tokens and without.
        heads = not self._drafts
        self.rows = Rows(req_states.max_num_reqs, req_states.device, vocabulary, heads=heads)
        # slots of requests with modes whose tokens weren't looked at yet
        self._unread: list[int] = []
        # slot -> the request's parameters, where a stage or mode keeps what tokens can't tell
        self._stateful: dict[int, SamplingParams] = {}
        # [slots] its prompt, and all of its tokens at its last step
        self._prompt = np.zeros(req_states.max_num_reqs, dtype=np.int64)
        self._seen = np.zeros(req_states.max_num_reqs, dtype=np.int64)
        self._parked = Parked()
        # slots in which that was not yet asked for
        self._returned: set[int] = set()

    def add(self, slot: int, params: SamplingParams) -> bool:
        """Gives a slot to a request; whether we change its logits."""
        request = request_of(params)
        self._park(slot)
        self._returned.discard(slot)
        self.rows.write(slot, request)
        if request.switching is not None:
            self._unread.append(slot)
        if self.rows.remembers(slot):
            self._stateful[slot] = params
            self._prompt[slot] = self._states.prompt_len.np[slot]
            self._seen[slot] = 0
            self._returned.add(slot)
        return any(request.chains)

    def flush(self) -> None:
        """Brings new parameters to the device.

        What a request with modes has of tokens is read from there, once: a request that was
        preempted brings its output along, and `start: auto` looks at the prompt.
        """
        self.rows.table.flush()
        for slot in dict.fromkeys(self._unread):
            middle = int(self._states.prompt_len.np[slot])
            end = int(self._states.prefill_len.np[slot])
            tokens = self._states.all_token_ids.gpu[slot, :end].tolist()
            self.rows.read(slot, tokens[:middle], tokens[middle:])
        self._unread.clear()

    def apply(self, logits: Tensor, context: LogitsContext) -> Tensor:
        """[rows, vocab] float32, changed in place."""
        slots = context.idx_mapping_np.astype(np.int64)
        if not self.rows.active(slots):
            return logits
        if self._stateful:
            self._take_back(slots)
            self._seen[slots] = context.seq_lens_upper_bound_np
        history = self._history(context) if self.rows.uses(slots, *TOKENS).any() else None
        # Between two steps so many tokens may be committed, and in front of a row stand as many.
        new = 2 * self._drafts + 1
        if logits.shape[0] == len(slots):
            # exact only where no drafts are tried
            ends = None if self._drafts else context.seq_lens_upper_bound_np.astype(np.int64)
            return self.rows.run(logits, slots, history, ends, new=new)
        rows = context.expanded_idx_mapping.long()
        first = context.expanded_local_pos == 0
        return self.rows.run_expanded(logits, slots, rows, history, first=first, new=new)

    def _park(self, slot: int) -> None:
        """Keeps the state of a slot whose request has left."""
        params = self._stateful.pop(slot, None)
        if params is not None:
            length = int(self._prompt[slot]), int(self._seen[slot])
            self._parked.put(params, self.rows.save(slot), length)

    def _take_back(self, slots: Slots) -> None:
        """Gives requests that were preempted, and are in the batch again, their state."""
        for slot in self._returned.intersection(slots.tolist()):
            prompt, end = int(self._prompt[slot]), int(self._states.prefill_len.np[slot])
            self._returned.remove(slot)
            if end == prompt:  # a new one
                continue
            # It comes back one token after its last step, perhaps not to the slot that it had.
            length = prompt, end - 1
            for other in self._stateful.keys() - {*slots.tolist()}:
                if (self._prompt[other], self._seen[other]) == length:
                    self._park(other)
            saved = self._parked.take(self._stateful[slot], length)
            if saved is not None:
                self.rows.restore(slot, saved)

    def _history(self, context: LogitsContext) -> History:
        """Committed tokens from the runner's table, then each row's own draft tokens."""
        rows = context.expanded_idx_mapping.long()
        longest = int(context.seq_lens_upper_bound_np.max())
        tokens = self._states.all_token_ids.gpu[:, :longest].index_select(0, rows).long()
        end = context.pos.long() + 1
        if self._drafts and longest:
            number = torch.arange(rows.shape[0], device=rows.device)
            for back in range(self._drafts):
                # The token that was fed `back` rows before this one stands at `pos - back`.
                is_draft = back < context.expanded_local_pos
                fed = context.input_ids[(number - back).clamp_min(0)].long()
                place = (context.pos.long() - back).clamp(0, longest - 1)[:, None]
                old = tokens.gather(1, place)
                tokens.scatter_(1, place, torch.where(is_draft[:, None], fed[:, None], old))
        prompt_end = self._states.prompt_len.gpu.index_select(0, rows).long()
        return History(tokens, torch.zeros_like(end), prompt_end, end)
