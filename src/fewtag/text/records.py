"""A line of JSON -> a record, or what is wrong with it in words; Python's reader has more ways to fail than one."""

from __future__ import annotations

import json
from typing import Any


def record_of_line(line: str | bytes) -> dict[str, Any] | str:
    """The object of a line, or a sentence about why there is none.

    Args:
        line: of a file.
    """
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, brackets thousands deep
        return f"JSON that cannot be read: {error}"
    return record if isinstance(record, dict) else f"expected an object with text or tokens, found {type(record).__name__}"


def half_a_character(text: str) -> str:
    """What is wrong with a text that no file can hold; empty for any other. Such halves come of cutting a text by UTF-16 units.

    Args:
        text: of a record.
    """
    return f"{text!a:.60} holds half of a surrogate pair, which is no character" if any("\ud800" <= c <= "\udfff" for c in text) else ""
