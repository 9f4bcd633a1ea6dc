"""A page of made-up artifacts, and one browser for all tests that look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ta_assets.pages.report.content import Content, content_of
from ta_assets.pages.report.render import render
from tests.page.made_page import world_of

CHROMIUM = ("chromium", "chromium-browser")
"""As Debian's packages have it; no other is downloaded."""


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What the page of a healthy world says."""
    return content_of(*world_of(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="session")
def page_file(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a healthy world."""
    path = tmp_path_factory.mktemp("html") / "index.html"
    path.write_bytes(render(content))
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, of which every test takes a window of its own; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
