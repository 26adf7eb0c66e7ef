"""The documentation builds as a site without a warning, and the site asks nothing of the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prenda.config.paths import REPOSITORY

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: `make docs` installs it")

# What a browser fetches by itself: scripts, styles, pictures, frames, icons, fonts. Links to click are not among them.
LOADED = re.compile(r"<(?:script|img|iframe|source|link|audio|video|object)\b[^>]*?\b(?:src|href|data)=\"?(https?:)?//")
STYLED = re.compile(r"(?:url\(|@import\s*)[\"']?(https?:)?//")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """The project's documentation as a site in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--config-file", str(REPOSITORY / "mkdocs.yml"), "-d", str(folder)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.slow
def test_no_page_loads_anything_from_outside(site):
    assert LOADED.search('<script defer src="https://example.org/mermaid.min.js">')
    assert STYLED.search("@font-face{src:url(//example.org/font.woff2)}")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        assert not LOADED.search(page.read_text(encoding="utf-8")), page
    for style in site.rglob("*.css"):
        assert not STYLED.search(style.read_text(encoding="utf-8")), style
    for picture in site.rglob("*.svg"):
        assert "foreignObject" not in picture.read_text(encoding="utf-8"), f"{picture} shows no text in an <img>"


def test_no_page_holds_what_the_theme_fetches_a_renderer_for(site):
    """The theme's script loads Mermaid from the network where a page has a diagram of that class."""
    for page in site.rglob("*.html"):
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), page
    assert re.search(r'<img alt="Diagram" src="images/diagram-\w+\.svg"', (site / "architecture.html").read_text())


def test_the_reference_comes_from_the_docstrings(site):
    page = (site / "reference/api/errors.html").read_text(encoding="utf-8")
    assert "An error that the user can correct" in page


def test_search_finds_the_text_of_pages_in_a_file(site):
    index = (site / "search/search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = ")
    assert "successive halving" in index


def test_a_linked_file_of_the_repository_is_a_page(site):
    assert "repository/CONTRIBUTING.html" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "repository/CONTRIBUTING.html").is_file()


@pytest.mark.slow
def test_a_dead_link_fails_the_build(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("docs", "src"):
        shutil.copytree(REPOSITORY / name, copy / name)
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, copy)
    shutil.copy(REPOSITORY / "mkdocs.yml", copy)
    index = copy / "docs/index.md"
    index.write_text(index.read_text(encoding="utf-8") + "\n[gone](gone.md)\n", encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "-d", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert built.returncode == 1
    assert "'index.md' contains a link 'gone.md'" in built.stderr
