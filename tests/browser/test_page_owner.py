"""What the owner of a server decides, on its page: a token, and whether corrections are kept."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.browser.page_server import Server, answered, answers, card, draw

pytestmark = pytest.mark.browser

TOKEN = "a-token-of-the-owner-1"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("corrections") / "kept"


@pytest.fixture(scope="module")
def guarded(bundle, kept):
    server = Server(bundle, "--keep-corrections", str(kept), PRENDA_SERVE_TOKEN=TOKEN)
    yield server
    server.stop()


def enter(page, token):
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Continue").click()


def test_the_token_is_asked_for_and_kept_for_the_tab(guarded, visit, tmp_path):
    page = visit(guarded.address)
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.set_input_files("#files", draw(tmp_path, "red.jpg"))
    page.get_by_role("dialog").wait_for()
    enter(page, "not-the-token-of-the-owner")
    page.get_by_text("The server did not accept this token.").wait_for()
    enter(page, "contraseña")
    page.get_by_text("The server did not accept this token.").wait_for()
    enter(page, TOKEN)
    answered(page, 1)
    assert answers(page) == {"red.jpg": "T-shirt/top"}
    assert page.locator("#notice").is_hidden()
    page.reload()
    page.set_input_files("#files", draw(tmp_path, "blue.jpg"))
    answered(page, 1)
    assert page.locator("#token").is_hidden()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_a_correction_is_kept_in_the_owners_folder(guarded, kept, visit, tmp_path):
    page = visit(guarded.address)
    enter(page, TOKEN)
    page.get_by_text("It keeps only photos that you correct").first.wait_for()
    page.set_input_files("#files", draw(tmp_path, "grey.jpg", "blue.jpg"))
    answered(page, 2)
    card(page, "grey.jpg").get_by_role("combobox").select_option("Dress")
    card(page, "grey.jpg").get_by_text("The server keeps this photo to learn from it.").wait_for()
    assert answers(page)["grey.jpg"] == "Dress"
    [photo] = kept.rglob("*.jpg")
    assert photo.parent == kept / "Dress"
    with Image.open(photo) as image:
        assert image.size == (64, 48)

    card(page, "blue.jpg").get_by_role("combobox").select_option("another type …")
    card(page, "blue.jpg").get_by_label("Another type for blue.jpg").fill("Backpack")
    page.keyboard.press("Enter")
    card(page, "blue.jpg").get_by_text("The server keeps this photo to learn from it.").wait_for()
    assert answers(page)["blue.jpg"] == "Backpack"
    assert sorted(path.parent.name for path in kept.rglob("*.jpg")) == ["Backpack", "Dress"]
    assert page.locator("#filters button", has_text="Backpack").count() == 1


def test_a_correction_that_is_not_kept_says_why(guarded, visit, tmp_path):
    page = visit(guarded.address)
    enter(page, TOKEN)
    page.set_input_files("#files", draw(tmp_path, "blue.jpg"))
    answered(page, 1)
    card(page, "blue.jpg").get_by_role("combobox").select_option("another type …")
    card(page, "blue.jpg").get_by_label("Another type for blue.jpg").fill("a/b")
    page.get_by_role("button", name="Use it").click()
    card(page, "blue.jpg").get_by_text("but not kept by the server. The type is no name of a type").wait_for()
    assert answers(page) == {"blue.jpg": "A/b"}


def test_without_a_folder_a_correction_stays_in_the_browser(server, visit, tmp_path):
    page = visit(server.address)
    page.get_by_text("keeps none").first.wait_for()
    page.set_input_files("#files", draw(tmp_path, "blue.jpg"))
    answered(page, 1)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    card(page, "blue.jpg").get_by_role("combobox").select_option("Dress")
    card(page, "blue.jpg").get_by_text("Corrected in your list and folders.").wait_for()
    assert answers(page) == {"blue.jpg": "Dress"}
    assert [url for url in asked if url.startswith(server.address)] == []
