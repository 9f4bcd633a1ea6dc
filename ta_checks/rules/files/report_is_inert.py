"""The page of a study runs its own two scripts and nothing else, whatever the texts in it say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from ta_assets.studies.readme_file import report_path
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.files.report_html import DATA, Page
from ta_checks.verdict import Verdict

ELEMENTS = {
    "a", "article", "b", "body", "button", "code", "div", "footer", "h1", "h2", "h3", "head", "header", "html", "li",
    "main", "meta", "nav", "noscript", "p", "section", "span", "style", "title", "ul",
}  # fmt: skip
"""What the page is made of before its script runs."""
LEADS = ("src", "srcset", "href", "action", "formaction", "data", "poster", "background")
"""Attributes that fetch something or lead somewhere; the page's own lead to a place in it."""
KEPT = "text/plain"
"""Type of the chart library, which the script of the page runs."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Elements, attributes, scripts and policy of the page as it lies on the disk."""
    path = report_path(evidence.partition, evidence.world.store.local_folder)
    return {"page": path.read_text(encoding="utf-8") if path.is_file() else None}


def report_is_inert(page: str | None) -> Verdict:
    """Fail on an element, an attribute or a script that is none of the page's own, and on a policy that is too wide.

    Args:
        page: HTML; None when there is no page.
    """
    if page is None:
        return Verdict.failed("there is no page: materialize report")
    found = Page(page)
    faults = [*_elements(found), *_scripts(found)]
    n = len(found.elements) + len(found.scripts)
    return Verdict.no_faults(faults, n=n, message=f"{n} elements and scripts, {len(faults)} are not the page's own")


ROW = Invariant(
    "report_is_inert",
    "report",
    read,
    report_is_inert,
    "A text of the data has become part of the page's markup or of its scripts, or a browser may run more than the "
    "page's own: do not open it. Look at the element that is named; what renders the page is wrong.",
    every_release=True,
)


def _elements(page: Page) -> Iterator[str]:
    for tag, attributes in page.elements:
        if tag not in ELEMENTS:
            yield f"an element {tag}"
        for name, value in attributes.items():
            if name.startswith("on") or (name in LEADS and not (value or "").startswith("#")):
                yield f"an attribute {name} of {tag}: {value}"


def _scripts(page: Page) -> Iterator[str]:
    running = [one for one in page.scripts if one.runs]
    kept = [one for one in page.scripts if one.attributes.get("type") == KEPT]
    if (len(running), len(kept)) != (1, 1):
        yield f"{len(running)} scripts run and {len(kept)} are kept, expected one of each"
    for one in page.scripts:
        if one.attributes.get("src") is not None:
            yield f"a script from {one.attributes['src']}"
        if one.attributes.get("type") == DATA and set("<>&") & set(one.text):
            yield f"values that are not escaped: {one.attributes.get('id') or one.attributes.get('data-trace')}"
        elif one not in running and one not in kept and one.attributes.get("type") != DATA:
            yield f"a script of type {one.attributes.get('type')}"
    hashes = [base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode() for one in (*running, *kept)]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    policy = [part.strip() for part in (page.meta("Content-Security-Policy") or "").split(";")]
    for part in ("default-src 'none'", f"script-src {allowed}", "base-uri 'none'", "form-action 'none'"):
        if part not in policy:
            yield f"the policy has no {part}"
