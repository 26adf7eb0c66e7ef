from __future__ import annotations

import csv
import json
import sys

import pytest

from prenda.errors import UserError
from prenda.prediction import formats, outputs
from prenda.prediction.answer import Answer, Guess

ORIGIN = {"model": "ab", "photos": ["folder"], "top": 2}
GUESSES = (Guess("Dress", 0.9312), Guess("Bag", 0.05))
ROWS = [
    Answer("a.jpg", "Dress", None, GUESSES, ("animated",)).as_plain(),
    Answer('b "x",\nñ.jpg', "unsure", "the best guess has 40%", GUESSES).as_plain(),
    Answer("c.jpg", error="is empty").as_plain(),
]


def written(path, rows=ROWS):
    with outputs.opened(path, ORIGIN) as output:
        for row in rows:
            assert output.kept(row["photo"]) is None
            output.add(row)
        output.finish(2)
    return path


def interrupted(path, rows=ROWS[:2], torn=b""):
    """Leave the part of a prediction that was killed."""
    with outputs.opened(path, ORIGIN) as output:
        for row in rows:
            output.add(row)
    with outputs.part_of(path).open("ab") as file:
        file.write(torn)
    return path


def test_csv_has_a_column_for_each_guess_and_quotes_names(tmp_path):
    with written(tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "photo": "a.jpg",
        "garment": "Dress",
        "confidence": "0.9312",
        "unsure": "",
        "guess_1": "Dress",
        "confidence_1": "0.9312",
        "guess_2": "Bag",
        "confidence_2": "0.05",
        "warnings": "animated",
        "error": "",
    }
    assert rows[1]["photo"] == 'b "x",\nñ.jpg'
    assert (rows[2]["garment"], rows[2]["guess_2"], rows[2]["error"]) == ("", "", "is empty")


@pytest.mark.parametrize("name", ["=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "\t=1.jpg", "\r=1.jpg"])
def test_a_name_that_a_spreadsheet_would_compute_becomes_text_in_csv(tmp_path, name):
    row = ROWS[0] | {"photo": name}
    with written(tmp_path / "a.csv", [row]).open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["photo"] == f"'{name}"
    assert json.loads(written(tmp_path / "a.jsonl", [row]).read_text("utf-8"))["photo"] == name


def test_escape_sequences_are_spelled_out_in_csv_and_escaped_in_json(tmp_path):
    row = ROWS[0] | {"photo": "a\x1b[2J.jpg"}
    assert rb"a\x1b[2J.jpg" in written(tmp_path / "a.csv", [row]).read_bytes()
    assert b"\x1b" not in written(tmp_path / "a.jsonl", [row]).read_bytes()


def test_json_and_json_lines_hold_the_same_answers(tmp_path):
    assert json.loads(written(tmp_path / "a.json").read_text("utf-8")) == ROWS
    lines = written(tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert json.loads(written(tmp_path / "none.json", []).read_text("utf-8")) == []


def test_parquet_holds_the_same_answers(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow, which comes with MLflow")
    monkeypatch.setattr(formats, "ROWS", 2)
    assert pq.read_table(written(tmp_path / "a.parquet")).to_pylist() == ROWS
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 2


def test_nothing_but_the_file_is_left(tmp_path):
    written(tmp_path / "a.csv")
    written(tmp_path / "a.csv", ROWS[:1])  # again, in place of the first
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert len((tmp_path / "a.csv").read_text("utf-8").splitlines()) == 2


def test_an_interrupted_prediction_is_resumed(tmp_path):
    path = interrupted(tmp_path / "a.jsonl", torn=b'{"photo": "c.j')
    with outputs.opened(path, ORIGIN) as output:
        assert [output.kept(row["photo"]) for row in ROWS] == [*ROWS[:2], None]
        output.add(ROWS[2])
        output.finish(2)
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == ROWS


def test_a_part_that_was_torn_in_its_first_line_is_begun_anew(tmp_path):
    outputs.part_of(tmp_path / "a.csv").write_bytes(b'{"prenda": {"mod')
    with written(tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 4


def test_another_model_or_other_options_are_refused(tmp_path):
    path = interrupted(tmp_path / "a.csv")
    with (
        pytest.raises(UserError, match=r"a\.csv\.part holds answers of an interrupted prediction with other model and"),
        outputs.opened(path, ORIGIN | {"model": "cd", "top": 3}),
    ):
        pass


def test_other_photos_are_refused(tmp_path):
    path = interrupted(tmp_path / "a.csv")
    with outputs.opened(path, ORIGIN) as output:
        output.kept("a.jpg")
        with pytest.raises(UserError, match=r"not of these photos: where 'b .*' was, there is 'new\.jpg'\. Restore"):
            output.kept("new.jpg")


def test_fewer_photos_are_refused(tmp_path):
    path = interrupted(tmp_path / "a.csv")
    with outputs.opened(path, ORIGIN) as output:
        output.kept("a.jpg")
        with pytest.raises(UserError, match="holds 1 answers more than there are photos: restore the photos, or"):
            output.finish(2)


def test_a_foreign_file_in_the_place_of_the_part_is_not_touched(tmp_path):
    part = outputs.part_of(tmp_path / "a.csv")
    part.write_text("mine\n", encoding="utf-8")
    with (
        pytest.raises(UserError, match=r"a\.csv\.part is in the way: it is not of a prediction\. Move it"),
        outputs.opened(tmp_path / "a.csv", ORIGIN),
    ):
        pass
    assert part.read_text("utf-8") == "mine\n"


def test_two_at_once_are_refused(tmp_path):
    with (
        outputs.opened(tmp_path / "a.csv", ORIGIN),
        pytest.raises(UserError, match=r"a\.csv', which another prediction is writing: wait for its end, or give"),
        outputs.opened(tmp_path / "a.csv", ORIGIN),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xlsx", r"a\.xlsx': give a name that ends with \.csv, \.json, \.jsonl, \.parquet\."),
        ("folder.csv", r"folder\.csv', which is a folder: give the name of a file in it\."),
        ("none/a.csv", r"none/a\.csv', but there is no folder '.*none': make it first\."),
    ],
)
def test_a_name_or_place_that_cannot_be_is_refused(tmp_path, name, text):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=text):
        outputs.check(tmp_path / name)


def test_parquet_without_pyarrow_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    with pytest.raises(UserError, match=r"a\.parquet', which needs pyarrow: install pyarrow, or give a name that"):
        outputs.check(tmp_path / "a.parquet")
