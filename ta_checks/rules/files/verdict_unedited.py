"""Rule: the files of a verdict that lie on the disk are the ones that its release wrote.

Belongs here: this rule. Stays out: hashing, where the verdict lies, Dagster, which keeps what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ta_checks.verdict import Verdict


def verdict_unedited(recorded: Sequence[Mapping[str, str]], found: Mapping[str, str | None]) -> Verdict:
    """Fail when a file of the earlier verdict is gone or is not the one that its release recorded.

    Args:
        recorded: name of a file -> sha256 in hex, of the newest record first; then of older ones, where releases that
            died may have left their files in place. Empty, and an empty first one, stand for no earlier verdict.
        found: name of a file -> sha256 in hex of its content; None when it is not there.
    """
    names = [*recorded[0]] if recorded else []
    wrong = [name for name in names if found.get(name) not in {one.get(name) for one in recorded}]
    offenders = [
        f"{name} is gone" if found.get(name) is None else f"{name} was edited since its release wrote it"
        for name in wrong
    ]
    message = "the earlier verdict is as it was written" if names else "no earlier verdict is recorded"
    return Verdict.judge(
        len(offenders), "<=", 0, unit="files", n=len(names), offenders=offenders,
        message="; ".join(offenders) or message,
    )  # fmt: skip
