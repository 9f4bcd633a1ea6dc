"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with the predecessor's published tables and real problems; lies beside the checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"{SHARED} is not here: the published tables and real problems lie beside the checkout")
    return SHARED
