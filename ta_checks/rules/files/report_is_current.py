"""The page of a study is the one that was stored, and shows the latest verdict."""

from __future__ import annotations

import hashlib
from typing import Any

from ta_assets.ledger.table import Role, with_role
from ta_assets.studies.readme_file import newest_release, report_path
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.files.report_html import Page
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """The page's hash and the release and verdict that it names, against what Dagster recorded and what is kept."""
    world, study = evidence.world, evidence.partition
    base = world.store.local_folder
    path = report_path(study, base)
    page = path.read_bytes() if path.is_file() else None
    (asset,) = with_role(Role.VERDICT)
    made = world.ledger.materialization(asset, study)
    files = (made.metadata.get("files") or {}) if made else {}
    shown = Page(page.decode()) if page is not None else None
    return {
        "found": None if page is None else hashlib.sha256(page).hexdigest(),
        "stored": evidence.value["sha256"],
        "shown": None if shown is None else (shown.meta("verdict-sha256"), shown.meta("release")),
        "latest": (next((one for name, one in files.items() if name.endswith("/value.json")), None),
                   newest_release(study, base)),
    }  # fmt: skip


def report_is_current(
    found: str | None,
    stored: str,
    shown: tuple[str | None, str | None] | None,
    latest: tuple[str | None, str],
) -> Verdict:
    """Fail when the page is absent, is not the stored one, or shows another verdict or release than the latest.

    Args:
        found: SHA-256 of the page; None when there is none.
        stored: SHA-256 of the page when it was made.
        shown: SHA-256 of the verdict and name of the release, as the page names them.
        latest: the same as they are recorded and kept.
    """
    if found is None or shown is None:
        return Verdict.failed("there is no page: materialize report")
    faults = []
    if found != stored:
        faults.append(f"the page was changed since it was made: sha256 {found[:12]} instead of {stored[:12]}")
    if shown[0] != latest[0]:
        faults.append(f"the page shows verdict {str(shown[0])[:12]}, the latest is {str(latest[0])[:12]}")
    if shown[1] != latest[1]:
        faults.append(f"the page shows release {shown[1]}, the latest is {latest[1]}")
    return Verdict.no_faults(faults, n=3, message="; ".join(faults) or f"the page of release {latest[1]}")


ROW = Invariant(
    "report_is_current",
    "report",
    read,
    report_is_current,
    "The page shows an earlier verdict, or somebody changed it: what it says of this release cannot be believed. "
    "Materialize report, or release again.",
    every_release=True,
)
