"""The page in Chromium: no error, soon there, every view opens, keys work, no hostile text runs, nothing is asked of a
network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ta_assets.pages.report.content import Content, content_of
from ta_assets.pages.report.render import render
from tests.page.made_page import large, world_of
from tests.page.test_page import HOSTILE, poisoned, red_rows

pytestmark = pytest.mark.browser

SIZES = {1280: 900, 400: 800}
FIRST_PAINT_MS = 2000
VIEWS = ("overview", "comparison", "traces", "checks", "origin")
CONTRAST = 4.5
"""Of text of any size, WCAG 2.2 AA."""
Open = Callable[..., Any]


@pytest.fixture
def window(browser: Any) -> Iterator[Open]:
    """Opens a page in a window of its own; what it complained of, or asked of a network, fails the test."""
    opened: list[Any] = []
    complaints: list[str] = []

    def open_page(path: Path, view: str = "", *, width: int = 1280, theme: str = "light") -> Any:
        size = {"width": width, "height": SIZES[width]}
        context = browser.new_context(viewport=size, color_scheme=theme, accept_downloads=True)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(f"a dialog {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda one: None if one.url.startswith(("file:", "data:", "blob:")) else complaints.append(one.url),
        )
        page.goto(f"{path.as_uri()}#{view}")
        return page

    yield open_page
    for context in opened:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_opens_and_fits(window: Open, page_file: Path, width: int, theme: str) -> None:
    page = window(page_file, width=width, theme=theme)
    for view in VIEWS:
        page.click(f"nav a[data-view={view}]")
        page.wait_for_function(f"!document.getElementById('{view}').hidden")
        assert page.locator(f"#{view}").inner_text().strip()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".view:visible").count() == 1


def test_a_page_is_soon_there(window: Open, content: Content, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_bytes(render(large(content, 200, 200)))
    page = window(path, "traces/embedded_correct/0/199")
    page.wait_for_selector("#sentence-199[aria-selected=true]")
    paint = page.evaluate("performance.getEntriesByType('paint').map(one => one.startTime)")
    assert paint
    assert max(paint) < FIRST_PAINT_MS
    # the texts of all 40 000 sentences
    page.fill("#search", "no such words anywhere")
    page.wait_for_function("document.querySelector('.list summary').textContent.startsWith('0 of')", timeout=10_000)


def test_charts_are_drawn_tell_numbers_and_are_saved(window: Open, page_file: Path) -> None:
    page = window(page_file, "comparison/embedded_correct")
    page.wait_for_function("document.querySelectorAll('#comparison .plot .main-svg').length >= 10", timeout=30_000)
    titles = page.locator("#comparison .chart h3").all_inner_texts()
    for words in ("Leads", "ceiling", "shuffled labels", "decide", "Layers"):
        assert any(words in title for title in titles), words
    page.locator("#comparison .chart .scatterlayer .points path").first.hover(force=True)
    page.wait_for_selector(".hoverlayer .hovertext")
    assert "adjusted p" in page.locator(".hoverlayer").first.text_content()
    with page.expect_download() as kept:
        page.click("text=SVG >> nth=0")
    assert kept.value.suggested_filename == "leads_embedded_correct.svg"


def test_keys_walk_through_views_problems_and_sentences(window: Open, page_file: Path) -> None:
    page = window(page_file)
    hashed = "location.hash"
    page.keyboard.press("3")
    page.wait_for_selector("#traces .sentence")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".sentence[aria-selected=true]")
    first = page.evaluate(hashed)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(hashed).rpartition("/")[2] == str(int(first.rpartition("/")[2]) + 1)
    page.keyboard.press("End")
    assert int(page.evaluate(hashed).rpartition("/")[2]) > 1
    page.keyboard.press("Escape")
    page.wait_for_selector(".sentence[aria-selected=true]", state="detached")
    before = page.evaluate(hashed)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(hashed) != before
    page.keyboard.press("/")
    page.keyboard.type("clock shows 12")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.evaluate("document.activeElement.value") == "clock shows 12"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_link_leads_to_a_sentence_with_all_that_is_known_of_it(window: Open, page_file: Path) -> None:
    page = window(page_file, "traces/embedded_correct/10/6")
    page.wait_for_selector("#sentence-6[aria-selected=true]")
    said = page.locator("#traces .detail").inner_text()
    for words in ("Importance", "rollouts", "What stood in its place", "lda", "ridge@3", "text_tfidf", "Tag:"):
        assert words in said, words


def test_a_trace_reads_as_running_text(window: Open, page_file: Path, content: Content) -> None:
    page = window(page_file, "traces/embedded_correct/10/6")
    page.select_option("label:has-text('Show as') select", "flow")
    page.wait_for_selector("#traces .flow #sentence-6[aria-selected=true]")
    trace = content.traces["embedded_correct"][10]
    running = "".join(before + text for before, text in zip(trace["before"], trace["text"], strict=True))
    assert page.locator("#traces .body").inner_text().strip() == running.strip()


def test_problems_are_sorted_by_where_probe_and_label_disagree_most(window: Open, page_file: Path) -> None:
    page = window(page_file, "traces/embedded_incorrect")
    shown = page.locator("#traces .list .top span:last-child").all_inner_texts()
    precisions = [float(text.removeprefix("AP ")) for text in shown if text.startswith("AP")]
    assert len(precisions) > 3
    assert precisions == sorted(precisions)


def test_a_check_tells_its_bound_its_meaning_and_its_history(window: Open, page_file: Path) -> None:
    page = window(page_file, "checks")
    page.click("#checks button.cell >> nth=3")
    said = page.locator("#checks .detail").inner_text()
    assert "required" in said
    assert "If it is red" in said
    assert "In the last 2 releases" in said
    assert page.locator("#checks .detail .step").count() == 2


def test_no_hostile_text_runs(window: Open, tmp_path: Path) -> None:
    world, study = world_of(tmp_path, poisoned, red_rows())
    path = tmp_path / "hostile.html"
    path.write_bytes(render(content_of(world, study)))
    page = window(path)
    for view in (*VIEWS, "traces/embedded_correct/10/1", "traces/embedded_correct/10/4", "checks/splits"):
        page.goto(f"{path.as_uri()}#{view}")
        page.wait_for_function("document.querySelectorAll('.view:not([hidden])').length === 1")
    assert page.locator("main img, main script").count() == 0
    page.goto(f"{path.as_uri()}#traces/embedded_correct/10")
    assert HOSTILE[0] in page.locator("#traces .body").inner_text()


CONTRASTS = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [.2126, .7152, .0722][at], 0);
  const over = (top, under) => [0, 1, 2].map((at) => top[at] * top[3] + under[at] * (1 - top[3]));
  const behind = (element) => { const found = [];
    for (let one = element; one; one = one.parentElement) found.push(rgb(getComputedStyle(one).backgroundColor));
    return found.reverse().reduce((under, top) => over(top, under), [255, 255, 255]); };
  const faults = [];
  for (const element of document.querySelectorAll('.view:not([hidden]) *, header *')) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || element.closest('.plot, .hidden')) continue;
    const ground = behind(element), ink = over(rgb(getComputedStyle(element).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < LIMIT) faults.push(`${element.className} ${element.textContent.slice(0, 20)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(faults)];
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_told_from_its_ground(window: Open, tmp_path: Path, theme: str) -> None:
    world, study = world_of(tmp_path, red=red_rows())
    path = tmp_path / "red.html"
    path.write_bytes(render(content_of(world, study)))
    page = window(path, theme=theme)
    for view in (*VIEWS, "traces/embedded_correct/10/6"):
        page.goto(f"{path.as_uri()}#{view}")
        page.wait_for_function("document.querySelectorAll('.view:not([hidden])').length === 1")
        assert page.evaluate(CONTRASTS.replace("LIMIT", str(CONTRAST))) == [], (view, json.dumps(theme))
