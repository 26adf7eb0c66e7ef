"""What a person sees in MLflow's UI; needs a store with a dense and a CNN run under $PRENDA_HOME, and Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prenda.tracking.store import connect

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or "chromium"
HOME = os.environ.get("PRENDA_HOME", "")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PICTURES = Path(os.environ.get("PRENDA_PICTURES", "outputs/browser"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """`prenda ui` on a free port; the address it prints."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "prenda", "ui", "--port", str(port)]
    environment = os.environ | {"PRENDA_HOME": HOME}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as ui:
        try:
            yield ui.stdout.readline().strip()
        finally:
            ui.send_signal(signal.SIGINT)
            assert ui.wait(30) == 0


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        profile = str(tmp_path_factory.mktemp("profile"))
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=QUIET, viewport={"width": 1500, "height": 950}
        )
        page = browser.new_page()
        assistant = page.get_by_role("button", name="Close", exact=True)
        page.add_locator_handler(assistant, lambda: assistant.click())
        yield page
        browser.close()


def keep(page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURES / f"{name}.png"))


def newest_runs() -> dict[str, str]:
    """The newest run of each backbone, by name."""
    store = connect(f"sqlite:///{HOME}/mlruns/mlflow.db")
    runs = store.search_runs(["1"], order_by=["attributes.start_time ASC"])
    return {run.data.tags["backbone"]: run.info.run_id for run in runs}


def test_the_printed_address_shows_the_runs_table(page, address):
    page.goto(address)
    page.get_by_role("link", name=re.compile("cnn_batch_norm-fashion_mnist-.*seed0")).first.wait_for(timeout=60_000)
    page.get_by_role("link", name=re.compile("dense-fashion_mnist-.*seed0")).first.wait_for()
    for column in ("test/accuracy", "test/f1", "best/val/accuracy"):
        page.get_by_role("columnheader", name=column).first.wait_for()
    page.wait_for_timeout(1500)
    keep(page, "runs")


def test_two_runs_are_compared(page, address):
    runs = newest_runs()
    chosen = f'["{runs["dense"]}","{runs["cnn_batch_norm"]}"]'
    page.goto(f'{address.split("#")[0]}#/compare-runs?runs={chosen}&experiments=["1"]')
    page.get_by_text("backbone.units").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    keep(page, "compare")


def open_page(page, address: str) -> None:
    """Loads a page of the UI anew: a change behind the # alone would leave parts of the old one."""
    page.goto("about:blank")
    page.goto(address)


def choose(page, label: str, *names: str) -> None:
    """Types names into the select box under a label, as a person would."""
    box = page.get_by_text(label, exact=True).locator("xpath=following::input[1]")
    for name in names:
        box.click()
        box.fill(name)
        page.wait_for_timeout(500)
        box.press("Enter")
    page.keyboard.press("Escape")
    page.wait_for_timeout(1000)


def test_parallel_coordinates_draw_parameters_and_metrics(page):
    """On the comparison that is open."""
    choose(page, "Metrics:", "test/accuracy", "train/seconds")  # parameters that differ are chosen already
    drawn = page.locator(".parcoords .axis-title").evaluate_all("titles => titles.map(title => title.textContent)")
    assert {"backbone", "test/accuracy", "train/seconds"} <= set(drawn)
    page.get_by_text("Visualizations").first.scroll_into_view_if_needed()
    keep(page, "parallel")


def test_a_scatter_plot_draws_one_figure_over_another(page):
    page.get_by_text("Scatter Plot", exact=True).first.click()
    for label, name in (("X-axis:", "parameters"), ("Y-axis:", "test/accuracy")):
        page.get_by_text(label, exact=True).locator("xpath=following::button[1]").click()
        page.get_by_role("option", name=name, exact=True).first.click()
    page.wait_for_timeout(1500)
    assert page.locator(".xtitle").first.text_content() == "parameters"
    assert page.locator(".ytitle").first.text_content() == "test/accuracy"
    keep(page, "scatter")


def test_a_confusion_matrix_is_shown(page, address):
    run = newest_runs()["cnn_batch_norm"]
    open_page(page, f"{address.split('#')[0]}#/experiments/1/runs/{run}/artifacts/confusion/test.png")
    page.get_by_alt_text("confusion/test.png").wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    keep(page, "confusion")


def test_a_report_opens_inside_the_ui(page, address):
    run = newest_runs()["cnn_batch_norm"]
    open_page(page, f"{address.split('#')[0]}#/experiments/1/runs/{run}/artifacts/report.html")
    frame = page.frame_locator("iframe").first
    frame.get_by_text("both in evaluation mode").wait_for(timeout=60_000)
    keep(page, "report")


def test_the_description_says_what_the_run_gave(page, address):
    open_page(page, f"{address.split('#')[0]}#/experiments/1/runs/{newest_runs()['cnn_batch_norm']}")
    page.get_by_text(re.compile(r"Accuracy \d\d\.\d\d%, 95% interval .*, on the 10,000 test images")).first.wait_for(
        timeout=60_000
    )
    keep(page, "description")


def test_the_confusion_matrix_steps_over_epochs(page, address):
    """MLflow's image view has one series with an image for each of the drawn epochs."""
    open_page(page, f"{address.split('#')[0]}#/experiments/1/runs/{newest_runs()['cnn_batch_norm']}/model-metrics")
    page.get_by_text("confusion", exact=True).first.wait_for(timeout=60_000)
    page.get_by_text("confusion", exact=True).first.scroll_into_view_if_needed()
    page.get_by_text("confusion/val").first.wait_for()
    page.wait_for_timeout(2500)
    keep(page, "steps")
