"""Rule: the verdict that lies on the disk is the one that its release wrote.

Belongs here: this rule. Stays out: hashing, where the verdict lies, Dagster.
"""

from __future__ import annotations

from ta_checks.verdict import Verdict


def verdict_unedited(recorded: str | None, found: str | None) -> Verdict:
    """Fail when the content of the earlier verdict has another hash than the one that it carries.

    Args:
        recorded: sha256 in hex that the file carries; None when there is no earlier verdict.
        found: sha256 in hex of its content.
    """
    offenders = [] if recorded == found else ["verdict.json was edited since its release wrote it"]
    message = "there is no earlier verdict" if found is None else "the earlier verdict is as it was written"
    return Verdict.judge(
        len(offenders), "<=", 0, unit="files", n=int(found is not None), offenders=offenders,
        message="; ".join(offenders) or message,
    )  # fmt: skip
