"""The bytes of every token, for each way in which tokenizers spell them.

| spelling | as in | bytes from |
| --- | --- | --- |
| byte-level (`Ġ` is a space) | GPT-2, Llama 3, Qwen | xgrammar |
| byte fallback (`▁`, `<0x0A>`) | Llama 2, Gemma | xgrammar |
| `▁` without byte fallback | T5, XLNet | the decoder |
| end-of-word mark (`</w>`) | GPT-1, BioGPT | the decoder, or the vocabulary |
| `##` continues a word (WordPiece) | BERT | the decoder |
| one token a word (WordLevel) | | the decoder |
| tekken, SentencePiece of mistral-common | Mistral | mistral-common |
| a tiktoken encoding in a class that the model brings | Kimi, Qwen-7B | tiktoken |

`check` compares the bytes with what the tokenizer decodes, whichever spelling it has.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from temperament.errors import EngineError, Problem, shown

# Texts whose tokens must join to what the tokenizer decodes: spaces, line ends, indentation,
# fences, quotes, Chinese, and characters that a vocabulary may have to spell byte by byte.
PROBES = (
    "the quick  brown fox",
    "x = 1\n\n\ty = 2\r\n",
    "```python\nprint('a')\n```\n",
    '{"key": ["value", 0.5]}',
    "你好，世界。",
    "naïve 🙂 <b>",
)
SPACE = "▁"
END_OF_WORD = "</w>"
FALLBACK = "<0x0A>"

Table = list[bytes]


def read(tokenizer: Any) -> Table:
    """Returns the bytes of each token by its id, of special tokens too.

    `tokenizer` is one of Transformers, of mistral-common, or vLLM's wrapper of such a one. Raises
    `EngineError` if the bytes can't be found, or don't join to what the tokenizer decodes.
    """
    if tokenizer is None:
        raise _unknown(tokenizer, "the model was loaded without its tokenizer")
    if not hasattr(tokenizer, "convert_ids_to_tokens") and not _inside_mistral_common(tokenizer):
        raise _unknown(tokenizer, "it is no tokenizer of Transformers or mistral-common")
    for reader in (_mistral_common, _tiktoken, _decoder, _end_of_word, _xgrammar):
        table = reader(tokenizer)
        if table is not None:
            return table
    raise _unknown(tokenizer, "the bytes of its tokens can't be found")


def check(tokenizer: Any, table: Sequence[bytes], special: set[int]) -> None:
    """Raises `EngineError` unless the bytes of the probes' tokens join to what is decoded.

    `special` tokens are left out on both sides. Spaces at the two ends don't count: a tokenizer may
    add one before a text, and its decoder may strip it.
    """
    for probe in PROBES:
        ids = [token for token in encode(tokenizer, probe) if token not in special]
        decoded = decode(tokenizer, ids)
        known = (table[token] for token in ids if token < len(table))
        joined = b"".join(known).decode("utf-8", "replace")
        if _cleans_up(tokenizer):
            decoded, joined = decoded.replace(" ", ""), joined.replace(" ", "")
        if joined.strip(" ") != decoded.strip(" "):
            reason = "the bytes of its tokens don't join to what it decodes"
            raise _unknown(tokenizer, f"{reason}: {shown(joined)}, not {shown(decoded)}")


def encode(tokenizer: Any, text: str) -> list[int]:
    """Returns the token ids of a text, without those that begin or end one."""
    inner = _inside_mistral_common(tokenizer)
    if inner is not None:
        return list(inner.encode(text, bos=False, eos=False))
    return list(tokenizer.encode(text, add_special_tokens=False))


def special_ids(tokenizer: Any) -> set[int]:
    """Returns the ids of the special tokens, which stand for no text."""
    inner = _inside_mistral_common(tokenizer)
    if inner is not None:
        return {token for token in range(inner.n_words) if _is_special(inner, token)}
    added = added_tokens(tokenizer)
    return {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}


def end_ids(tokenizer: Any) -> tuple[int, ...]:
    """Returns the ids of the tokens that end a text."""
    inner = _inside_mistral_common(tokenizer)
    end = tokenizer.eos_token_id if inner is None else inner.eos_id
    ends: Sequence[int | None] = end if isinstance(end, (list, tuple)) else [end]
    return tuple(one for one in ends if one is not None)


def added_tokens(tokenizer: Any) -> Mapping[int, Any]:
    """Returns the tokens that were added to the vocabulary, special or not, by their ids.

    `str` of each is its text. mistral-common adds none: there the special tokens take their place.
    """
    inner = _inside_mistral_common(tokenizer)
    if inner is not None:
        return {token: inner.id_to_piece(token) for token in sorted(special_ids(tokenizer))}
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return added if isinstance(added, Mapping) else {}


def special_text(tokenizer: Any, token: int) -> str:
    """Returns a special token as it is written, such as `<|im_end|>`."""
    inner = _inside_mistral_common(tokenizer)
    return str(
        tokenizer.convert_ids_to_tokens(token) if inner is None else inner.id_to_piece(token)
    )


def decode(tokenizer: Any, ids: list[int]) -> str:
    """Returns the text of token ids as the tokenizer decodes them, with spaces left as they are."""
    inner = _inside_mistral_common(tokenizer)
    if inner is not None:
        # vLLM's wrapper would return SentencePiece's spelling, `▁` and `<0x0A>`.
        return str(inner.decode(ids))
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))


def _mistral_common(tokenizer: Any) -> Table | None:
    inner = _inside_mistral_common(tokenizer)
    if inner is None:
        return None
    if hasattr(inner, "id_to_byte_piece"):  # tekken
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

        keep = SpecialTokenPolicy.KEEP
        return [inner.id_to_byte_piece(token, keep) for token in range(inner.n_words)]
    return [_sentencepiece(inner.id_to_piece(token)) for token in range(inner.n_words)]


def _inside_mistral_common(tokenizer: Any) -> Any:
    """Returns mistral-common's tokenizer of text inside a wrapper; None in any other tokenizer."""
    for path in (
        "tokenizer.instruct_tokenizer.tokenizer",  # Transformers' MistralCommonBackend
        "instruct_tokenizer.tokenizer",  # mistral-common's MistralTokenizer
        "instruct.tokenizer",  # vLLM's
    ):
        inner = tokenizer
        for name in path.split("."):
            inner = getattr(inner, name, None)
        if inner is not None and type(inner).__module__.startswith("mistral_common."):
            return inner
    return None


def _is_special(inner: Any, token: int) -> bool:
    unknown = getattr(inner, "unk_id", None) == token
    return bool(inner.is_special(token)) or unknown


def _sentencepiece(piece: str) -> bytes:
    if len(piece) == len(FALLBACK) and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(SPACE, " ").encode()


def _tiktoken(tokenizer: Any) -> Table | None:
    """A tiktoken encoding that the tokenizer keeps in an attribute."""
    if _backend(tokenizer) is not None:
        return None
    for value in getattr(tokenizer, "__dict__", {}).values():
        if type(value).__module__.startswith("tiktoken.") and hasattr(value, "n_vocab"):
            table = [_single(value, token) for token in range(value.n_vocab)]
            added = added_tokens(tokenizer)
            table += [b""] * (max(added, default=-1) + 1 - len(table))
            for token, entry in added.items():
                table[token] = table[token] or str(entry).encode()
            return table
    return None


def _single(encoding: Any, token: int) -> bytes:
    try:
        return bytes(encoding.decode_single_token_bytes(token))
    except KeyError:  # an unused id between the ordinary and the special tokens
        return b""


def _decoder(tokenizer: Any) -> Table | None:
    """The spellings that a Rust tokenizer's decoder describes, except spellings of single bytes."""
    backend = _backend(tokenizer)
    if backend is None:
        return None
    spell = _spelling(backend, tokenizer.get_vocab())
    if spell is None:
        return None
    added = added_tokens(tokenizer)
    return [
        str(added[token]).encode() if token in added else spell(piece or "").encode()
        for token, piece in enumerate(_pieces(tokenizer))
    ]


def _pieces(tokenizer: Any) -> list[str | None]:
    """Returns each token's spelling by its id; None for an id that is no token."""
    pieces = {token: piece for piece, token in tokenizer.get_vocab().items()}
    # `len` counts the tokens, and ids may leave gaps.
    return [pieces.get(token) for token in range(max(len(tokenizer), max(pieces, default=-1) + 1))]


def _spelling(backend: Any, vocabulary: dict[str, int]) -> Callable[[str], str] | None:
    decoder = {} if backend.decoder is None else json.loads(backend.decoder.__getstate__())
    parts = {part["type"]: part for part in decoder.get("decoders", [decoder]) if part}
    if backend.decoder is None:
        # Without a decoder, tokens are joined by spaces.
        return None if _bytes_are_spelled(vocabulary) else (lambda piece: f" {piece}")
    if "WordPiece" in parts:
        prefix = parts["WordPiece"]["prefix"]
        return lambda piece: (
            piece.removeprefix(prefix)
            if piece.startswith(prefix) and len(piece) > len(prefix)
            else f" {piece}"
        )
    if "BPEDecoder" in parts:
        suffix = parts["BPEDecoder"]["suffix"]
        return lambda piece: piece.replace(suffix, " ")
    if FALLBACK in vocabulary or {"ByteLevel", "ByteFallback"} & parts.keys():
        return None
    if "Metaspace" in parts:
        space = parts["Metaspace"]["replacement"]
        return lambda piece: piece.replace(space, " ")
    if "Replace" in parts and parts["Replace"]["pattern"].get("String") == SPACE:
        return lambda piece: piece.replace(SPACE, " ")
    return None


def _bytes_are_spelled(vocabulary: dict[str, int]) -> bool:
    return FALLBACK in vocabulary or any(piece.startswith("Ġ") for piece in vocabulary)


def _end_of_word(tokenizer: Any) -> Table | None:
    """A Python tokenizer whose pieces end with `</w>` where a word does."""
    if _backend(tokenizer) is not None:
        return None
    pieces = _pieces(tokenizer)
    if not any(str(piece).endswith(END_OF_WORD) for piece in pieces):
        return None
    # A Moses tokenizer writes `&apos;` for an apostrophe, and its detokenizer turns that back.
    spell = html.unescape if _is_moses(tokenizer) else str
    return [spell((piece or "").replace(END_OF_WORD, " ")).encode() for piece in pieces]


def _is_moses(tokenizer: Any) -> bool:
    return hasattr(tokenizer, "moses_detokenize")


def _xgrammar(tokenizer: Any) -> Table | None:
    try:
        from xgrammar import TokenizerInfo
    except ImportError as error:
        message = "texts are matched on bytes, which xgrammar gives"
        raise EngineError(
            Problem("tokenizer", "", message, allowed="pip install xgrammar")
        ) from error
    try:
        return list(TokenizerInfo.from_huggingface(tokenizer).decoded_vocab)
    except ValueError:  # a kind that it doesn't know
        return None


def _backend(tokenizer: Any) -> Any:
    """Returns the tokenizer of the Rust library inside one of Transformers, None without one."""
    return getattr(tokenizer, "backend_tokenizer", None)


def _cleans_up(tokenizer: Any) -> bool:
    """Returns whether the decoder removes spaces, before punctuation for example."""
    if _is_moses(tokenizer):
        return True
    backend = _backend(tokenizer)
    if backend is None or backend.decoder is None:
        return False
    return bool(json.loads(backend.decoder.__getstate__()).get("cleanup", False))


def _unknown(tokenizer: Any, reason: str) -> EngineError:
    kind = "none" if tokenizer is None else type(tokenizer).__name__
    name = getattr(tokenizer, "name_or_path", "") or kind
    return EngineError(
        Problem(
            "tokenizer",
            "",
            f"{reason}, so no text can be matched with it",
            shown(f"{name} ({kind})"),
            "a preset without texts, modes and structure: no dry_multiplier, xtc_probability,"
            " banned_strings or switch on texts",
            reason="unsupported",
        )
    )
