"""From values to the one HTML file: templates, style, scripts and the chart library put into it.

Belongs here: escaping, and what a browser may run. Values lie in scripts that no browser runs; what it runs is named by
its hash in the page's policy, so that nothing else can, whatever text got into the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from ta_assets.pages.report.content import Content

HERE = files("ta_assets.pages.report")
SCRIPTS = (
    "tools.js", "charts.js", "comparison.js", "problems.js", "traces.js", "sentence.js", "checks.js", "origin.js",
    "page.js",
)  # fmt: skip
"""In the order in which they are joined to one."""
STYLES = ("page.css", "traces.css")
JSON_OPTIONS = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}


def render(content: Content) -> bytes:
    """The page; the same bytes for the same values."""
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            main=content.main,
            traces=content.traces,
            style="".join(map(_text, STYLES)),
            script=script(),
            library=library(),
            policy=policy(),
            scale=_scale(content.main["settings"]),
        )
    )
    return page.encode()


@cache
def script() -> str:
    """What the page runs at once."""
    parts = "\n".join(_text(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


@cache
def library() -> str:
    """The chart library, as its package has it; the page runs it when charts are asked for.

    Raises:
        ValueError: it could end the script that it lies in.
    """
    text = files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    if any(end in text.lower() for end in ("</script", "<!--", "\r")):
        raise ValueError("plotly.min.js holds what HTML reads as the end of a script")
    return text


@cache
def policy() -> str:
    """What a browser may do with the page: run the two scripts, nothing from elsewhere."""
    runs = " ".join(f"'sha256-{_hash(text)}'" for text in (script(), library()))
    return (
        f"default-src 'none'; script-src {runs}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: Any) -> str:
    """A value as the page holds it in a script of JSON."""
    from jinja2.utils import htmlsafe_json_dumps

    return str(htmlsafe_json_dumps(value, dumps=json.dumps, **JSON_OPTIONS))


def _environment() -> Any:
    """Templates in which every value is text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(str(HERE)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # escapes <, >, & and ' wherever they stand, so that no text can end its script
    made.policies["json.dumps_kwargs"] = JSON_OPTIONS
    return made


def _text(name: str) -> str:
    return HERE.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _scale(settings: list[dict[str, Any]]) -> dict[str, float]:
    """The range of leads that the intervals of the first screen share."""
    told = [one[key] for one in settings for key in ("low", "high", "difference") if one.get(key) is not None]
    low, high = min([0.0, *told]), max([0.0, *told])
    room = 0.06 * (high - low) or 1.0
    return {"low": low - room, "span": high - low + 2 * room}
