"""Files that the page of `prenda serve` saves, read back by Python's csv and zipfile."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest

from tests.browser.page_server import answered, card, draw

pytestmark = pytest.mark.browser


def test_answers_are_saved_as_csv(server, visit, tmp_path):
    names = ["red.jpg", '=1+1, "green".jpg', "grey niño.jpg"]
    (tmp_path / "prices.txt").write_text("Dress 12.50", encoding="utf-8")
    page = visit(server.address)
    page.set_input_files("#files", [*draw(tmp_path, *names), tmp_path / "prices.txt"])
    answered(page, 4)
    card(page, "red.jpg").get_by_role("combobox").select_option("Bag")
    content = saved(page, "csv", tmp_path / "list.csv").decode("utf-8-sig")
    assert content.count("\r\n") == content.count("\n") == 5
    rows = {row["photo"]: row for row in csv.DictReader(io.StringIO(content, newline=""), strict=True)}
    assert list(rows) == ["red.jpg", "'" + names[1], names[2], "prices.txt"]
    assert [row["garment"] for row in rows.values()] == ["Bag", "Dress", "unsure", ""]
    assert [row["corrected"] for row in rows.values()] == ["Bag", "", "", ""]
    assert (rows["red.jpg"]["guess_1"], float(rows["red.jpg"]["confidence_1"])) == ("T-shirt/top", 1.0)
    assert "that an answer needs" in rows[names[2]]["unsure"]
    assert rows["prices.txt"]["error"] == "prices.txt is text, no picture."


def test_photos_are_saved_as_sorted_zip(server, visit, tmp_path):
    names = ["red.jpg", "blue ñandú 衣.png", "grey.jpg", "..green.jpg"]
    first, second = draw(tmp_path / "one", *names), draw(tmp_path / "two", "red.jpg", "RED.jpg".replace("RED", "Xred"))
    page = visit(server.address)
    page.set_input_files("#files", [*first, *second])
    answered(page, 6)
    content = saved(page, "zip", tmp_path / "sorted.zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
        assert all(info.date_time[0] > 2020 for info in archive.infolist())
    assert found == {
        "T-shirt-top/red.jpg": first[0].read_bytes(),
        "Bag/blue ñandú 衣.png": first[1].read_bytes(),
        "unsure/grey.jpg": first[2].read_bytes(),
        "Dress/green.jpg": first[3].read_bytes(),
        "T-shirt-top/red (2).jpg": second[0].read_bytes(),
        "T-shirt-top/Xred.jpg": second[1].read_bytes(),
    }


def test_what_a_zip_file_cannot_hold_is_refused(server, visit):
    page = visit(server.address)
    refused = page.evaluate(
        """async () => {
          const { zip, TooLargeError } = await import("./zip.js"), modified = new Date()
          const file = (size) => ({ name: "a", blob: { size }, modified })
          const trials = [[file(2 ** 32)], [file(2 ** 31), file(2 ** 31)], Array(65_535).fill(file(0))]
          const isRefused = (error) => error instanceof TooLargeError
          return Promise.all(trials.map((files) => zip(files).then(() => "made", isRefused)))
        }"""
    )
    assert refused == [True, True, True]


def test_only_the_shown_photos_are_saved(server, visit, tmp_path):
    page = visit(server.address)
    page.set_input_files("#files", draw(tmp_path, "red.jpg", "blue.jpg"))
    answered(page, 2)
    page.locator("#filters button", has_text="Bag").click()
    with zipfile.ZipFile(io.BytesIO(saved(page, "zip", tmp_path / "sorted.zip"))) as archive:
        assert archive.namelist() == ["Bag/blue.jpg"]


def saved(page, button, path):
    """Press a button that saves a file, and return the file's content."""
    with page.expect_download() as download:
        page.locator(f"#{button}").click()
    assert re.fullmatch(rf"prenda-\d{{4}}-\d\d-\d\d\.{button}", download.value.suggested_filename)
    download.value.save_as(path)
    return path.read_bytes()
