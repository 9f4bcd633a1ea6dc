"""Fixtures that several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

RELEASING = {"proof", "assets"}
"""Folders whose tests release whole studies."""
SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: not RELEASING.intersection(item.path.parts))


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder with the predecessor's published tables and real problems; lies beside the checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"{SHARED} is not here: the published tables and real problems lie beside the checkout")
    return SHARED
