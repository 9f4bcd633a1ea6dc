"""One spelling for answers that are written differently: a grader that shares no code with a computer algebra system.

Belongs here: text -> normal form, by rules of spelling and exact fractions. Stays out: algebra, which ``math_verify``
does; where the two disagree, a person should look.
"""

from __future__ import annotations

import re
from fractions import Fraction

MOST_DIGITS = 400
"""Of a number that is turned into a fraction."""
_DROPPED = re.compile(
    r"\\left|\\right|\\displaystyle|\\!|\\,|\\;|\\:|\\ |\\\$|\$|\^\{?\\circ\}?|\\degree|~|\\\(|\\\)|\\%|%"
)
_WORDS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox|textit|operatorname)\s*\{([^{}]*)\}")
_SHORT = re.compile(r"\\(frac|sqrt)\s*(?:(\d)|([a-zA-Z](?![a-zA-Z])))")
_FRACTION = re.compile(r"(-?)(\d*)\\frac\{(-?\d+)\}\{(\d+)\}")
_RATIO = re.compile(r"(-?\d+)/(\d+)")
_DECIMAL = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NAMED = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?:\([a-zA-Z]\))?(?:=|\\in)")
_OPEN, _CLOSED = "([{⟨", ")]}⟩"


def same_form(answer: str, gold: str) -> bool:
    """Whether two answers have the same normal form."""
    return normal_form(answer) == normal_form(gold)


def normal_form(text: str) -> str:
    """An answer in one spelling.

    Spaces, sizes of brackets, dollars, degrees, per cents and a trailing stop fall away; fractions, decimals, mixed
    numbers and numbers with commas of thousands become one fraction in lowest terms; ``x = 5`` is 5; a set, or numbers
    without brackets between commas, are sorted; a point or an interval keeps its order.
    """
    return _form(_spelled(text.strip()))


def _spelled(text: str) -> str:
    """The text with one spelling of each command, without whitespace."""
    text = _WORDS.sub(lambda match: match.group(1), text)
    text = (
        text.replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac")
        .replace("\\{", "\\lbrace ")
        .replace("\\}", "\\rbrace ")
    )
    text = (
        text.replace("\\cdot", "*").replace("\\times", "*").replace("−", "-").replace("{,}", ",").replace("\\pi", "π")
    )
    text = _DROPPED.sub("", text)
    for _ in range(2):  # both arguments of a fraction
        text = _SHORT.sub(lambda match: f"\\{match.group(1)}{{{match.group(2) or match.group(3)}}}", text)
        text = re.sub(r"(\\frac\{[^{}]*\})\s*(\d|[a-zA-Z](?![a-zA-Z]))", r"\1{\2}", text)
    text = text.replace("\\lbrace", "⟨").replace("\\rbrace", "⟩")
    return "".join(text.split()).rstrip(".").replace("**", "^")


def _form(text: str) -> str:
    named = _NAMED.match(text)
    if named and named.end() < len(text):
        return _form(text[named.end() :])
    if text[:1] + text[-1:] == "⟨⟩":
        return "⟨" + ",".join(sorted(map(_form, _split(text[1:-1])))) + "⟩"
    if text[:1] and text[0] in "([" and text[-1] in ")]" and _closes_last(text):
        parts = _split(text[1:-1])
        if len(parts) > 1:
            return text[0] + ",".join(map(_form, parts)) + text[-1]
        if text[0] == "(" and text[-1] == ")":
            return _form(text[1:-1])
    parts = [text] if _THOUSANDS.fullmatch(text) else _split(text)
    if len(parts) > 1:
        return "⟨" + ",".join(sorted(map(_form, parts))) + "⟩"
    number = _number(text)
    return text if number is None else str(number)


def _number(text: str) -> Fraction | None:
    """The number that a text is, exactly; None for anything else."""
    text = text.removeprefix("+")
    plain = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text
    if len(plain) > MOST_DIGITS:
        return None
    if _DECIMAL.fullmatch(plain):
        return Fraction(plain)
    mixed = _FRACTION.fullmatch(plain)
    if mixed and int(mixed.group(4)):
        part = Fraction(int(mixed.group(3)), int(mixed.group(4)))
        whole = int(mixed.group(2) or 0)
        return (whole + part) * (-1 if mixed.group(1) else 1)
    ratio = _RATIO.fullmatch(plain)
    if ratio and int(ratio.group(2)):
        return Fraction(int(ratio.group(1)), int(ratio.group(2)))
    return None


def _split(text: str) -> list[str]:
    """Parts between the commas that stand in no bracket."""
    parts, depth = [""], 0
    for one in text:
        depth += (one in _OPEN) - (one in _CLOSED)
        if one == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += one
    return parts


def _closes_last(text: str) -> bool:
    """Whether the bracket that opens a text is closed by its last character."""
    depth = 0
    for place, one in enumerate(text):
        depth += (one in _OPEN) - (one in _CLOSED)
        if depth == 0:
            return place == len(text) - 1
    return False
