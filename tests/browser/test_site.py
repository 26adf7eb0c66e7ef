"""The documentation in a browser, opened as files: no page asks the network for anything, and search works."""

from __future__ import annotations

import pytest

from tests.docs.test_site import build

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return folder


def test_no_page_asks_the_network(site, chromium):
    page = chromium.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for file in sorted(site.rglob("*.html")):
        page.goto(file.as_uri())
        page.wait_for_load_state("networkidle")
    assert len(asked) > 100
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_the_diagram_of_the_architecture_is_drawn(site, chromium):
    page = chromium.new_page()
    page.goto((site / "architecture.html").as_uri())
    diagram = page.get_by_alt_text("Diagram")
    assert diagram.evaluate("image => image.complete && image.naturalWidth") > 300


def test_search_works_without_a_server(site, chromium):
    page = chromium.new_page()
    page.goto((site / "index.html").as_uri())
    page.locator("input[name=query]").click()
    page.locator("input[name=query]").press_sequentially("Hyperband")
    page.locator(".md-search-result__link").first.wait_for()
    found = page.locator(".md-search-result__link").evaluate_all("links => links.map(link => link.href)")
    assert any("sweeps.html" in link for link in found)
