"""``make screenshots``: the pictures of the page that the README shows, of the last release of the embedded study."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.page.conftest import CHROMIUM

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "artifacts/embedded/report/index.html"
PICTURES = {
    "docs/images/page_overview.png": ("overview", 640),
    "docs/images/page_traces.png": ("traces/embedded_correct/10/6", 800),
}
"""Path -> view and height in pixels."""
WIDTH = 1280


def main() -> int:
    """Take all of them; the exit code."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None or not PAGE.is_file():
        print("needs Chromium (apt-get install chromium) and a release (make release)", file=sys.stderr)
        return 1
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for picture, (view, height) in PICTURES.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme="light")
            page.goto(f"{PAGE.as_uri()}#{view}")
            page.wait_for_selector(".view:not([hidden])")
            (ROOT / picture).parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=ROOT / picture)
            print(picture)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
