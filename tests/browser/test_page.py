"""The page of `prenda serve` in Chromium: what a person with photos sees and does there."""

from __future__ import annotations

import re

import pytest

from tests.browser.page_server import PHONE, Server, answered, answers, card, draw, drop

pytestmark = pytest.mark.browser


def test_dropped_photos_are_answered(server, visit, tmp_path):
    page = visit(server.address)
    drop(page, *draw(tmp_path, "red.jpg", "green.png", "grey.jpg"))
    answered(page, 3)
    assert answers(page) == {"red.jpg": "T-shirt/top", "green.png": "Dress", "grey.jpg": "Unsure"}
    red = card(page, "red.jpg")
    assert red.locator(".guesses li").all_inner_texts()[0].split("\n") == ["T-shirt/top", "100.0%"]
    assert red.locator(".guesses li").count() == 3
    assert red.locator(".fill").first.bounding_box()["width"] > 10 * red.locator(".fill").last.bounding_box()["width"]
    seen = red.get_by_alt_text("red.jpg as the network saw it")
    assert size(seen) == [16, 16]
    own = red.get_by_alt_text("Your photo red.jpg")
    assert size(own) == [64, 48]


def size(picture):
    """Return width and height of a picture as soon as it is decoded."""
    return picture.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")


def test_an_updated_page_is_taken_at_once(server, visit):
    page = visit(server.address)
    answers = [page.request.get(server.address + name) for name in ("", "main.js", "page.css")]
    assert [answer.headers["cache-control"] for answer in answers] == ["no-cache"] * 3
    again = page.request.get(server.address + "main.js", headers={"If-None-Match": answers[1].headers["etag"]})
    assert again.status == 304


def test_an_unsure_answer_says_why(server, visit, tmp_path):
    page = visit(server.address)
    drop(page, *draw(tmp_path, "grey.jpg"))
    answered(page, 1)
    note = card(page, "grey.jpg").locator(".note").inner_text()
    assert re.search(r"33\.33% is less than the 90\.00% that an answer needs\.\n+Look at it yourself", note), note


def test_a_dropped_folder_is_searched_for_photos(server, visit, tmp_path):
    draw(tmp_path / "shop", "red.jpg")
    draw(tmp_path / "shop/more", "blue.jpg")
    (tmp_path / "shop/prices.txt").write_text("12.50", encoding="utf-8")
    page = visit(server.address)
    drop(page, tmp_path / "shop")
    answered(page, 2)
    assert answers(page) == {"red.jpg": "T-shirt/top", "blue.jpg": "Bag"}


def test_a_pasted_picture_is_answered(server, visit):
    page = visit(server.address)
    page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(32, 32), context = canvas.getContext("2d")
          context.fillStyle = "#0000ff"
          context.fillRect(0, 0, 32, 32)
          const clipboardData = new DataTransfer()
          clipboardData.items.add(new File([await canvas.convertToBlob()], "image.png", { type: "image/png" }))
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))
        }"""
    )
    answered(page, 1)
    assert answers(page) == {"pasted 1.png": "Bag"}


def test_a_text_file_is_refused_politely(server, visit, tmp_path):
    (tmp_path / "prices.txt").write_text("Dress 12.50", encoding="utf-8")
    page = visit(server.address)
    drop(page, tmp_path / "prices.txt", *draw(tmp_path, "red.jpg"))
    answered(page, 2)
    assert answers(page) == {"prices.txt": "Not read", "red.jpg": "T-shirt/top"}
    assert card(page, "prices.txt").locator(".note").inner_text() == "prices.txt is text, no picture."
    assert page.locator("#summary").inner_text() == "2 photos: 1 with a type, 1 not read"


def test_many_photos_go_a_few_at_a_time(server, visit, tmp_path):
    photos = draw(tmp_path, *(f"{color}{number}.jpg" for number in range(4) for color in ("red", "green", "blue")))
    page = visit(server.address)
    asked, open_at_once = set(), []

    def started(request):
        if "predict" in request.url:
            asked.add(request)
            open_at_once.append(len(asked))

    page.on("request", started)
    page.on("requestfinished", lambda request: asked.discard(request))
    page.set_input_files("#files", photos)
    answered(page, 12)
    assert len(open_at_once) == 3
    assert max(open_at_once) <= 2
    assert page.locator("#summary").inner_text() == "12 photos: 12 with a type"
    assert list(answers(page)) == [photo.name for photo in photos]


def test_types_are_filtered(server, visit, tmp_path):
    page = visit(server.address)
    page.set_input_files("#files", draw(tmp_path, "red1.jpg", "red2.jpg", "blue.jpg", "grey.jpg"))
    answered(page, 4)
    filters = page.locator("#filters button")
    assert filters.all_inner_texts() == ["All 4", "Bag 1", "T-shirt/top 2", "Unsure 1"]
    filters.filter(has_text="T-shirt").click()
    assert set(answers(page)) == {"red1.jpg", "red2.jpg"}
    filters.filter(has_text="Unsure").click()
    assert set(answers(page)) == {"grey.jpg"}


def test_a_server_that_goes_away_is_waited_for(bundle, visit, tmp_path):
    server = Server(bundle)
    page = visit(server.address)
    asked = []

    def second_request_finds_no_server(route):
        asked.append(route.request.url)
        if len(asked) == 2:
            server.kill()
        route.continue_()

    page.route("**/predict*", second_request_finds_no_server)
    page.set_input_files("#files", draw(tmp_path, *(f"red{number}.jpg" for number in range(10))))
    try:
        page.get_by_text("The server does not answer.").first.wait_for()
        server.start()
        answered(page, 10)
        assert set(answers(page).values()) == {"T-shirt/top"}
        page.locator("#notice").wait_for(state="hidden")
        assert len(asked) >= 4
    finally:
        server.stop()


def test_after_many_tries_the_page_waits_for_a_person(server, visit, tmp_path):
    page = visit(server.address)
    page.clock.install()
    page.route("**/predict*", lambda route: route.abort())
    page.route("**/healthz", lambda route: route.abort())
    page.set_input_files("#files", draw(tmp_path, "red.jpg"))
    page.locator("#notice-text", has_text="The server does not answer.").wait_for()
    stopped = page.locator("#notice-text", has_text="Your photos stay here")
    for _ in range(100):
        page.clock.fast_forward(16_000)
        page.wait_for_timeout(100)
        if stopped.is_visible():
            break
    assert stopped.is_visible()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    answered(page, 1)
    assert answers(page) == {"red.jpg": "T-shirt/top"}


@pytest.mark.parametrize(("status", "texts"), [(429, "The server is busy."), (503, "The server is busy.")])
def test_a_busy_server_is_asked_again(server, visit, tmp_path, status, texts):
    page = visit(server.address)
    busy = [status, status]
    page.route(
        "**/predict*",
        lambda route: route.fulfill(status=busy.pop(), headers={"Retry-After": "1"}) if busy else route.continue_(),
    )
    page.set_input_files("#files", draw(tmp_path, "red.jpg"))
    page.get_by_text(texts).first.wait_for()
    answered(page, 1)
    assert answers(page) == {"red.jpg": "T-shirt/top"}


def test_photos_that_are_refused_together_are_sent_alone(server, visit, tmp_path):
    """A limit on the request must not cost the photos that are small enough."""
    page = visit(server.address)
    error = '{"error": {"code": "body", "en": "The request is too large.", "es": "Es demasiado."}}'

    def limited(route):
        body = route.request.post_data_buffer
        if body.count(b'name="photos"') > 1 or b"blue.jpg" in body:
            route.fulfill(status=413, body=error, content_type="application/json")
        else:
            route.continue_()

    page.route("**/predict*", limited)
    page.set_input_files("#files", draw(tmp_path, "red.jpg", "blue.jpg", "green.jpg"))
    answered(page, 3)
    assert answers(page) == {"red.jpg": "T-shirt/top", "blue.jpg": "Not read", "green.jpg": "Dress"}
    assert card(page, "blue.jpg").locator(".note").inner_text() == "The request is too large."


def test_a_photo_whose_connection_always_breaks_does_not_hold_up_the_others(server, visit, tmp_path):
    """A server that refuses a body before it is read looks to a browser like one that is away."""
    page = visit(server.address)
    page.route(
        "**/predict*",
        lambda route: route.abort() if b"blue.jpg" in route.request.post_data_buffer else route.continue_(),
    )
    page.set_input_files("#files", draw(tmp_path, "red.jpg", "blue.jpg"))
    answered(page, 2)
    assert answers(page) == {"red.jpg": "T-shirt/top", "blue.jpg": "Not read"}
    assert "could not be sent" in card(page, "blue.jpg").locator(".note").inner_text()
    page.unroute("**/predict*")
    card(page, "blue.jpg").get_by_role("button", name="Try again").click()
    page.locator(".card.failed").wait_for(state="detached")
    assert answers(page) == {"red.jpg": "T-shirt/top", "blue.jpg": "Bag"}


def test_removed_photos_leave_nothing_behind(server, visit, tmp_path):
    page = visit(server.address)
    page.set_input_files("#files", draw(tmp_path, "red.jpg", "blue.jpg"))
    answered(page, 2)
    addresses = [card(page, "red.jpg").locator(image).get_attribute("src") for image in (".photo", ".seen")]
    assert [is_kept(page, address) for address in addresses] == [True, True]
    page.get_by_role("button", name="Remove red.jpg").click()
    assert [is_kept(page, address) for address in addresses] == [False, False]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove blue.jpg"
    page.get_by_role("button", name="Remove all").click()
    assert page.locator(".card").count() == 0
    assert page.locator(".about").is_visible()


def is_kept(page, address):
    """Return whether the browser still has the picture of an address."""
    return page.evaluate(
        """address => new Promise((done) => {
          const image = new Image()
          image.onload = () => done(true)
          image.onerror = () => done(false)
          image.src = address
        })""",
        address,
    )


def test_a_phone_shows_everything(server, visit, tmp_path):
    name = "red " + "very_long_name_of_a_photo_without_a_space" * 3 + ".jpg"
    (tmp_path / "prices.txt").write_text("Dress 12.50", encoding="utf-8")
    page = visit(server.address, viewport=PHONE, has_touch=True, is_mobile=True)
    assert_nothing_overflows(page)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    assert page.get_by_role("button", name="Take a photo").is_visible()
    page.set_input_files("#files", [*draw(tmp_path, name, "grey.jpg"), tmp_path / "prices.txt"])
    answered(page, 3)
    for language in ("Español", "English"):
        page.get_by_role("button", name=language).click()
        assert_nothing_overflows(page)


def assert_nothing_overflows(page):
    outside = page.evaluate(
        """() => [...document.querySelectorAll("body *:not(.for-readers)")]
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
          .map((element) => element.outerHTML.slice(0, 100))"""
    )
    assert outside == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
