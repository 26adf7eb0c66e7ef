"""Fixtures of the tests of the page of `prenda serve`."""

from __future__ import annotations

import pytest

from tests.browser.page_server import CHROMIUM, QUIET, Server, Watched
from tests.prediction.bundles import write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A network that knows three colours."""
    return write_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="session")
def server(bundle):
    """A server with default settings."""
    server = Server(bundle)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open the page; afterwards nothing was asked outside of its server, and its console is silent."""
    opened = []

    def visit(address, locale="en-GB", **settings):
        context = chromium.new_context(locale=locale, **settings)
        page, watched = context.new_page(), Watched(address)
        watched.watch(page)
        opened.append((context, watched))
        page.goto(address)
        return page

    yield visit
    for context, watched in opened:
        context.close()
        assert watched.outside() == []
        assert watched.problems() == []
