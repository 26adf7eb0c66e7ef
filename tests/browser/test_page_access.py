"""The page of `prenda serve` for everyone: languages, the keyboard alone, screen readers, and owners' settings."""

from __future__ import annotations

import pytest

from tests.browser.page_server import answered, answers, card, draw

pytestmark = pytest.mark.browser

SCHEMES = ("light", "dark")


def everything_answered(page, folder):
    """Bring the page into a state with an answer, an unsure one, a file that is no photo, and a correction."""
    (folder / "0.txt").write_text("12.50", encoding="utf-8")
    page.set_input_files("#files", [*draw(folder, "red.jpg", "grey.jpg", "blue.jpg"), folder / "0.txt"])
    answered(page, 4)
    card(page, "blue.jpg").get_by_role("combobox").select_option("Dress")


def test_spanish_speaks_spanish(server, visit, tmp_path):
    page = visit(server.address, locale="es-MX")
    everything_answered(page, tmp_path)
    assert page.evaluate("document.documentElement.lang") == "es"
    assert page.title() == "prenda: ¿qué prenda es?"
    assert answers(page) == {"red.jpg": "Camiseta", "grey.jpg": "Dudosa", "blue.jpg": "Vestido", "0.txt": "Sin leer"}
    assert page.locator(".share").first.text_content() == "100,0\u00a0%"
    assert card(page, "0.txt").locator(".note").inner_text() == "0.txt es un texto, no una imagen."
    spanish = words(page)
    page.get_by_role("button", name="English").click()
    assert page.evaluate("document.documentElement.lang") == "en"
    same = spanish & words(page)
    names = {"red.jpg", "grey.jpg", "blue.jpg", "0.txt", "prenda", "English", "Español"}
    assert {text for text in same if any(c.isalpha() for c in text)} == names


def words(page):
    """Return every text of the page that a person sees or hears."""
    return set(
        page.evaluate(
            """() => {
              const texts = [document.title], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
              while (walker.nextNode()) {
                if (!walker.currentNode.parentElement.closest("noscript")) texts.push(walker.currentNode.data.trim())
              }
              for (const name of ["aria-label", "alt", "title", "placeholder"]) {
                for (const element of document.querySelectorAll(`[${name}]`)) texts.push(element.getAttribute(name))
              }
              return texts.filter((text) => text)
            }"""
        )
    )


def test_the_chosen_language_is_remembered(server, visit):
    page = visit(server.address)
    page.get_by_role("button", name="Español").click()
    page.reload()
    assert page.get_by_role("heading", name="¿Qué prenda es?").is_visible()
    assert page.get_by_role("button", name="Español").get_attribute("aria-pressed") == "true"


def test_both_languages_have_all_texts(server, visit):
    page = visit(server.address)
    differences = page.evaluate(
        """async () => {
          const { TEXTS } = await import("./texts.js"), [en, es] = [TEXTS.en, TEXTS.es]
          const shape = (value) => JSON.stringify(value).match(/\\{\\w+\\}|"(one|other)"/g)?.sort().join() ?? ""
          const keys = [...new Set([...Object.keys(en), ...Object.keys(es)])]
          return keys.filter((key) => !(key in en && key in es) || shape(en[key]) !== shape(es[key]))
        }"""
    )
    assert differences == []


def test_the_keyboard_alone_is_enough(server, visit, tmp_path):
    page = visit(server.address)
    page.on("filechooser", lambda chooser: None)  # from the first one on, the browser hands them over
    tab_to(page, "#choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(draw(tmp_path, "red.jpg", "green.jpg", "grey.jpg"))
    answered(page, 3)
    tab_to(page, "#filters button:has-text('Unsure')")
    page.keyboard.press("Space")
    assert list(answers(page)) == ["grey.jpg"]
    tab_to(page, ".card:visible select")
    page.keyboard.press("B")
    assert answers(page) == {"grey.jpg": "Bag"}
    tab_to(page, "#csv")
    with page.expect_download():
        page.keyboard.press("Enter")
    tab_to(page, ".card:visible .remove")
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 2
    tab_to(page, ".languages button[value=es]")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.lang") == "es"


def tab_to(page, selector):
    """Press Tab until an element has the focus; each one on the way shows it."""
    wanted = page.locator(selector).first
    for _ in range(40):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_screen_readers_hear_the_answers(server, visit, tmp_path):
    page = visit(server.address)
    page.set_input_files("#files", draw(tmp_path, "red.jpg"))
    answered(page, 1)
    assert page.get_by_role("status").text_content() == "red.jpg: T-shirt/top, 100.0%."
    page.set_input_files("#files", draw(tmp_path, *(f"blue{number}.jpg" for number in range(5))))
    answered(page, 6)
    assert page.get_by_role("status").text_content() == "All 5 photos looked at: 5 with a type."


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_axe_finds_nothing_serious(server, visit, tmp_path, scheme, locale):
    page = visit(server.address, locale=locale, color_scheme=scheme, viewport={"width": 1280, "height": 1600})
    assert serious(page) == []
    everything_answered(page, tmp_path)
    assert serious(page) == []
    page.locator("#filters button").nth(1).click()
    page.evaluate("import('./token.js').then(({ ask }) => ask())")
    page.locator("#token").wait_for()
    assert serious(page) == []


def serious(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def test_motion_stops_where_people_ask_for_it(server, visit, tmp_path):
    page = visit(server.address, reduced_motion="reduce")
    page.route("**/predict*", lambda route: None)  # the answer never comes
    page.set_input_files("#files", draw(tmp_path, "red.jpg"))
    answer = page.locator(".card.sending .answer")
    assert answer.evaluate("element => getComputedStyle(element).animationName") == "none"
