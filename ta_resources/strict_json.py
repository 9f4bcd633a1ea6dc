"""Bytes of a JSON file -> its value, or a refusal that says where.

Belongs here: what a parser would accept in silence or crash on. Stays out: what the files mean.
"""

from __future__ import annotations

import json
from typing import Any

from ta_assets.core.errors import InputError


def read_json(source: str, content: bytes, refusal: type[InputError] = InputError) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: or the given kind of it: not UTF-8, not JSON, an object with a key given twice, or JSON beyond what
            the parser bears.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(source, f"byte {error.start}", content[error.start : error.end], "UTF-8 text") from error

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for key in keys if keys.count(key) > 1)
            raise refusal(source, key, "given twice", "each key once, since a parser would keep the last")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise refusal(source, place, text[error.pos : error.pos + 40], f"JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of nested brackets
        raise refusal(source, "(whole file)", text[:40], f"JSON of ordinary size ({error})") from error
