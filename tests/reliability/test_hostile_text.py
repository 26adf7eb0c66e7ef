"""Names of files, classes and runs that would speak to a terminal, a browser, a spreadsheet or MLflow's page."""

from __future__ import annotations

import csv
import io
import json
import os
import re

import pytest

from prenda.bundle.format import read
from prenda.bundle.readme import readme
from prenda.cli import main
from prenda.data.class_mapping import read_mapping
from prenda.errors import DataError
from prenda.report import terminal
from prenda.report.card import card
from prenda.report.log import LoggedConsole, RunLog
from prenda.report.page import Table
from prenda.report.sweep.report import Swept, SweptTrial, write_sweep
from prenda.report.tables import write_rows
from prenda.system.foreign_text import cell, markdown_code, markdown_text, printable_lines
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.data.photos import write_photo, write_shop
from tests.prediction.bundles import write_bundle
from tests.reliability.test_hostile_files import described, photos
from tests.training.test_train import DENSE

ESCAPE = "\x1b[2J\x1b]0;mine\x07"
MARKUP = "<script>alert(1)</script>"
PICTURE = "![](https://example.org/seen.png)"
FORMULA = '=HYPERLINK("https://example.org","open")'


def test_text_of_others_is_text_everywhere():
    assert printable_lines(f"a{ESCAPE}\nb") == "a\\x1b[2J\\x1b]0;mine\\x07\nb"
    assert cell(FORMULA) == "'" + FORMULA
    assert [cell(f"{sign}1") for sign in "=+-@\t\r"] == [f"'{sign}1" for sign in "=+-@\t\r"]
    assert [cell(value) for value in (-1, -0.5, None)] == [-1, -0.5, None]
    assert cell(f"a{ESCAPE}") == r"a\x1b[2J\x1b]0;mine\x07"
    assert markdown_text(MARKUP) == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert "](" not in markdown_text(PICTURE)
    assert markdown_code("a`b\n<i>") == "`a'b <i>`"


def test_names_of_others_are_no_formulas_in_any_csv(tmp_path):
    write_rows([{"class": FORMULA, "f1-score": -0.5}], tmp_path / "test")
    trial = SweptTrial(0, "finished", {"backbone.activation": "@SUM(1)"}, [0.5], {}, 1.0, FORMULA)
    write_sweep(tmp_path, Swept("a", "prenda", ["val/accuracy"], ["maximize"], [trial], {}, [0]))
    for name in ("test.csv", "trials.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert f"'{FORMULA}" in cells
        assert not [text for text in cells if text.startswith(("=", "+", "@"))]
    assert json.loads((tmp_path / "test.json").read_text())[0]["class"] == FORMULA


@pytest.mark.slow
def test_names_of_photos_and_classes_are_harmless_in_lists_and_in_the_terminal(tmp_path, capsys):
    classes = {f"{FORMULA[:10]}", f"[bold]{MARKUP.replace('/', '')}", "hat"}
    shop = write_shop(tmp_path / "shop", dict.fromkeys(sorted(classes), 8))
    write_photo(shop / "hat" / f"-{ESCAPE}.jpg".replace("/", ""), 7)
    (shop / "hat" / f"+{ESCAPE}.jpg").write_bytes(b"none")
    settings = ["data=folder", f"data.dir='{shop}'", "data.image_size=16", "trainer=cpu", "trainer.epochs=1", *DENSE]
    train(configured(*settings, "tracking=offline", "report=full"), tmp_path / "run")
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert "\x1b" not in (tmp_path / "run/log.txt").read_text()
    for path in (tmp_path / "run").rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells = [text for row in csv.reader(file) for text in row]
        assert not [text for text in cells if text.startswith(("=", "+", "@")) or "\x1b" in text], path
    page = (tmp_path / "run/report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    for name in ("card.md", "README.md"):
        assert "<script>" not in (tmp_path / "run/bundle" / name).read_text()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (b"coat\x1b[2J", "control characters or line breaks"),
        (b"co\nat", "control characters or line breaks"),
        ("a\u2028b".encode(), "control characters or line breaks"),
        (b"caf\xe9", "bytes that are no UTF-8"),
    ],
)
def test_a_class_that_no_file_can_name_is_refused(name, problem, tmp_path):
    shop = write_shop(tmp_path / "shop", {"hat": 8, "coat": 8})
    (shop / "coat").rename(shop / os.fsdecode(name))
    told = rf"data.dir is {shop}, where the name of the folder '.*' has {problem}: rename it\."
    with pytest.raises(DataError, match=told):
        photos(shop)


def test_a_class_is_not_renamed_to_what_no_file_can_name(tmp_path):
    (tmp_path / "classes.yaml").write_text('coat: "a\\eb"\n')
    with pytest.raises(DataError, match="has control characters or line breaks: give another name"):
        read_mapping(tmp_path / "classes.yaml")


def test_errors_speak_to_no_terminal(capsys, tmp_path):
    assert main(["predict", str(tmp_path), "--model", f"mine{ESCAPE}"]) == 2
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "\\x1b[2J" in printed


def test_tables_and_logs_speak_to_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = LoggedConsole(RunLog(tmp_path))
    console.file = io.StringIO()
    terminal.show_result(console, f"run{ESCAPE}", {}, {"Folder": f"a{ESCAPE}"})
    terminal.show_table(console, f"title{ESCAPE}", Table((f"class{ESCAPE}", "b"), [(f"[red]{ESCAPE}", "1")]))
    shown = console.file.getvalue()
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert "\\x1b[2J" in shown
    assert "\x1b" not in (tmp_path / "log.txt").read_text()


def test_a_card_and_a_readme_hold_no_markup_of_others(tmp_path):
    name = f"{MARKUP} {PICTURE}"
    folder = described(
        write_bundle(tmp_path / "bundle"),
        class_names=[name, "b", "c"],
        labels={},
        task=name,
        run_id=f"`{MARKUP}",
        data={"name": name, "content_hash": "x` <i>"},
        config={"seed": MARKUP, "backbone": {"_target_": MARKUP, "units": MARKUP}, "data": {"val_size": MARKUP}},
        scores={"test/accuracy": 0.5, "test/f1": 0.5},
    )
    bundle = read(folder)
    row = {"class": name, "precision": 0.5, "recall": 0.5, "f1-score": 0.5, "support": 3}
    for text in (card(bundle, [row], name), readme(bundle)):
        outside = re.sub(r"`[^`]*`", "", text)
        assert "<script>" not in outside
        assert "](" not in outside


@pytest.mark.slow
def test_a_comparison_and_a_list_hold_no_markup_of_others(tmp_path, capsys):
    names = [f"a{MARKUP}{PICTURE}", f"b[bold]{ESCAPE}"]
    for place, name in enumerate(names):
        named = f"tracking.run_name='{name}'"
        train(configured(*TINY, *DENSE, f"seed={place}", named), tmp_path / str(place))
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "0"), str(tmp_path / "1"), "--no-record"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    page = next((tmp_path / "home").rglob("comparison.html")).read_text()
    assert "<script>" not in page
