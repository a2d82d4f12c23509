"""Whether a model thinks before it answers a request: how the request says so, for a family.

A chat template has arguments for it (`chat_template_kwargs`: `enable_thinking`, `thinking`, ...),
and some models read words in the prompt (`/no_think`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ThinkingSwitch:
    """How requests of a family switch thinking on and off.

    - `default` is for a request that says nothing; None if the model decides by itself.
    - `arguments` are arguments of the chat template that are true or false.
    - `values` are its other arguments, with what each of their values means.
    - `words` are words of the prompt, with what each means.
    - `words_of` says where words count. "prompt": in the system prompt and in the user's last
      message; a word can't switch on what an argument has switched off. "system": in the system
      prompt alone; a word wins over the arguments.
    """

    default: bool | None
    arguments: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    words: Mapping[str, bool] = field(default_factory=dict)
    words_of: Literal["prompt", "system"] = "prompt"
    source: str = ""

    def thinks(
        self, arguments: Mapping[str, Any], system: Iterable[str] = (), last: str = ""
    ) -> bool | None:
        """Returns whether the model thinks; None if it decides by itself.

        `arguments` are those of the chat template, `system` the texts of the system prompt, `last`
        is the last message of the user.
        """
        by_argument = self._by_argument(arguments)
        by_word = self._by_word(system if self.words_of == "system" else (*system, last))
        if self.words_of == "prompt" and by_argument is False:
            return False
        for switch in (by_word, by_argument):
            if switch is not None:
                return switch
        return self.default

    def _by_argument(self, arguments: Mapping[str, Any]) -> bool | None:
        """Returns what the arguments say, None if they say nothing."""
        by_flag = [
            bool(arguments[name]) for name in self.arguments if arguments.get(name) is not None
        ]
        by_value = [
            switched[value]
            for name, switched in self.values.items()
            if isinstance(value := arguments.get(name), str) and value in switched
        ]
        if False in by_value:
            return False
        return any((*by_flag, *by_value)) if by_flag or by_value else None

    def _by_word(self, texts: Iterable[str]) -> bool | None:
        """Returns what the latest word says, None without one."""
        latest = None
        for text in texts:
            places = {text.rfind(word): on for word, on in self.words.items()}
            place = max(places, default=-1)
            if place >= 0:
                latest = places[place]
        return latest
