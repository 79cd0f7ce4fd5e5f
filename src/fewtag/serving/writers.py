"""Documents -> lines of output: JSONL or CoNLL. What went wrong stands in its place, so that outputs stay beside inputs."""

from __future__ import annotations

import json
from collections.abc import Callable

from fewtag.serving.documents import Document
from fewtag.serving.readers import BadInput

Result = Document | BadInput


def jsonl_of(result: Result) -> str:
    """One JSON object and a line end."""
    return json.dumps(result.to_json(), ensure_ascii=False) + "\n"


def conll_of(result: Result) -> str:
    """``# id = x``, then a line per token with its tag, and an empty line; in place of tokens ``# error = ...`` for what went wrong."""
    head = f"# id = {_one_line(result.id)}\n"
    if isinstance(result, BadInput):
        return f"{head}# error = {_one_line(result.to_json()['error'])}\n\n"
    return head + "".join(f"{token}\t{tag}\n" for token, tag in zip(result.tokens, result.tags, strict=True)) + "\n"


WRITERS: dict[str, Callable[[Result], str]] = {"jsonl": jsonl_of, "conll": conll_of}


def writable(result: Result, format: str) -> Result:
    """The result, or an error in its place when the format cannot carry it: CoNLL has no way to write a tab or a line end in a token."""
    if format != "conll" or isinstance(result, BadInput):
        return result
    for number, token in enumerate(result.tokens, 1):
        if not token.isprintable() and any(c in token for c in "\t\r\n"):
            fault = f"token {number}, {token!r}, holds a tab or a line end, which CoNLL cannot carry; use --out-format jsonl"
            return BadInput(result.id, f"input {result.id}", fault)
    return result


def _one_line(text: str) -> str:
    return " ".join(text.split())
