"""A warm interpreter whose commands of ``dagster`` do what ``planted`` is told.

Stays out: what it does inside (``planted``), the forks (``tests/warm.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster._cli import create_dagster_cli

from tests import warm
from tests.proof import planted


def release(request: Mapping[str, Any]) -> None:
    """Run ``dagster *arguments`` as planted."""
    os.environ.update(request["environment"])
    planted.begin_to_watch()
    create_dagster_cli()(args=request["arguments"], prog_name="dagster")


if __name__ == "__main__":
    warm.preload()
    warm.serve(release)
