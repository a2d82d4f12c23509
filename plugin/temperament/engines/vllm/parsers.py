"""The marks that a server's own parsers read: `--reasoning-parser` and `--tool-call-parser`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vllm.logger import init_logger

from temperament.presets.markers import Marks, formats

if TYPE_CHECKING:
    from vllm.config import VllmConfig

logger = init_logger("vllm.temperament")

# With these a parser that depends on the request reads thinking.
_THINKING = {"thinking": True, "enable_thinking": True, "reasoning_effort": "high"}
# The tool parsers whose marks are in the tokenizer's response template.
_OF_TEMPLATE = ("hf", "beam")
# The names under which tool parsers keep the marks of all calls of an answer, or of each call.
_ATTRIBUTES = (
    ("tool_calls_start_token", "tool_calls_end_token"),
    ("tool_call_start_token", "tool_call_end_token"),
    ("TOOL_CALLS_BEGIN", "TOOL_CALLS_END"),
    ("_TOOL_CALLS_START", "_TOOL_CALLS_END"),
    ("tools_open", "tools_close"),
    ("tc_start", "tc_end"),
    ("bot_token", ""),
    ("bot_string", ""),
)
# The same for parsers that are configured by terminals.
_TERMINALS = (
    ("TOOL_SECTION_START", "TOOL_SECTION_END"),
    ("TOOL_REQUESTS_START", "TOOL_REQUESTS_END"),
    ("TOOL_START", "TOOL_END"),
    ("TOOL_TOKEN", ""),
    ("TOOL_STRING", ""),
    ("TOOL_CALLS", ""),
)


def server_marks(config: VllmConfig, args: Namespace) -> dict[str, Marks]:
    """Returns the marks of the parsers with which a server was started, for each part."""
    parts = {"reasoning": config.structured_outputs_config.reasoning_parser}
    if getattr(args, "enable_auto_tool_choice", False):
        parts["tool_call"] = args.tool_call_parser
    found = {}
    for part, name in parts.items():
        if not name:
            continue
        marks = parser_marks(part, name, _tokenizer(config))
        if marks is None:
            logger.warning(
                "temperament: the %s parser %r doesn't say its marks: the model's family decides",
                part,
                name,
            )
        else:
            found[part] = marks
    return found


def _tokenizer(config: VllmConfig) -> Any:
    from vllm.tokenizers import cached_tokenizer_from_config

    if config.model_config.skip_tokenizer_init:
        return None
    return cached_tokenizer_from_config(config.model_config)


def parser_marks(part: str, name: str, tokenizer: Any) -> Marks | None:
    """Returns the marks of one parser, None if neither it nor `configs/markers.yaml` has them.

    A parser's own marks may depend on the tokenizer. Those of the file belong to the format too.
    """
    known = formats()[part].get(name)
    asked = None if tokenizer is None else ask(part, name, tokenizer)
    if asked is None:
        return known
    if known is None or known.unmarked:
        return asked
    return Marks(
        tuple(dict.fromkeys((*asked.start, *known.start))),
        tuple(dict.fromkeys((*asked.end, *known.end))),
        note=known.note,
        source=known.source,
    )


def ask(part: str, name: str, tokenizer: Any) -> Marks | None:
    """Returns the marks that a parser of vLLM has as attributes, None if it has none.

    A parser that can't read the model's tokenizer has none: vLLM refuses the start itself.
    """
    try:
        if part == "reasoning":
            from vllm.reasoning import ReasoningParserManager

            reasoning: Any = ReasoningParserManager.get_reasoning_parser(name)
            parser = reasoning(tokenizer, chat_template_kwargs=_THINKING)
            start, end = parser.reasoning_start_str, parser.reasoning_end_str
            sides = next(_pairs([((start,), (end,))]), None)
        else:
            from vllm.tool_parsers import ToolParserManager

            parser = ToolParserManager.get_tool_parser(name)(tokenizer)
            sides = _template_marks(tokenizer) if name in _OF_TEMPLATE else _tool_marks(parser)
    except Exception:  # a parser may be anyone's
        return None
    source = f"vLLM's {part} parser {name}"
    return None if sides is None else Marks(*sides, source=source)


_Sides = tuple[tuple[Any, ...], tuple[Any, ...]]


def _tool_marks(parser: Any) -> _Sides | None:
    """Returns the marks around tool calls that a parser has; first those that have both sides."""
    engine = getattr(parser, "_parser_engine", None)
    terminals = engine.parser_engine_config.terminals if engine is not None else {}
    found = [
        *((_spellings(terminals.get(s)), _spellings(terminals.get(e))) for s, e in _TERMINALS),
        *(
            (_spellings(getattr(parser, s, None)), _spellings(getattr(parser, e or "-", None)))
            for s, e in _ATTRIBUTES
        ),
    ]
    complete = [sides for sides in _pairs(found) if sides[1]]
    if complete:
        return complete[0]
    starts = tuple(dict.fromkeys(text for start, _ in _pairs(found) for text in start))
    return (starts, ()) if starts else None


def _template_marks(tokenizer: Any) -> _Sides | None:
    """Returns the marks around tool calls in the response template that a tokenizer brings."""
    from vllm.parser.chat_parsing.response_templates import load_response_template
    from vllm.parser.response_template import resolve_response_template

    template = resolve_response_template(tokenizer)
    calls = load_response_template(template).fields.get("tool_calls") if template else None
    if calls is None:
        return None
    literals = (_spellings(calls.open_literals), _spellings(calls.close_literals))
    return next(_pairs([literals]), None)


def _pairs(found: list[_Sides]) -> Iterator[_Sides]:
    """Yields what has a mark at its start, without what is no text."""
    for start, end in found:
        sides = (
            tuple(t for t in start if isinstance(t, str) and t),
            tuple(t for t in end if isinstance(t, str) and t),
        )
        if sides[0]:
            yield sides


def _spellings(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
