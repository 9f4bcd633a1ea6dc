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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a module's fixture on one worker, or each worker would make it for itself.

    A test outside of such a module is a group of its own; ``pytestmark`` of a module wins.
    """
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        shared = any(fixture.scope == "module" for found in fixtures for fixture in found)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
