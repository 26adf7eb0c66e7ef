from __future__ import annotations

import csv
import io
import json
import os
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from prenda import cli
from prenda.prediction import outputs, pipeline
from prenda.prediction.sorting import Sorter
from tests.prediction.bundles import photo, write_bundle

LIGHT = """
import pathlib, re, sys
from prenda import cli
code = cli.main(sys.argv[1:])
status = pathlib.Path("/proc/self/status")  # Linux alone; the system's other counter includes the parent's memory
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024 if status.exists() else 0
assert peak < 200, peak
heavy = "torch torchvision pytorch_lightning hydra omegaconf mlflow scipy matplotlib pandas pyarrow sklearn".split()
sys.exit(code or " ".join(name for name in heavy if name in sys.modules) or 0)
"""


@pytest.fixture
def model(tmp_path):
    return str(write_bundle(tmp_path / "model"))


@pytest.fixture
def shop(tmp_path):
    """A folder of photos: two dresses, a bag in a folder, and one photo that is no colour of a garment."""
    for name, garment in (("a.jpg", "Dress"), ("b.png", "Dress"), ("more/c.jpeg", "Bag")):
        photo(tmp_path / "shop" / name, garment)
    Image.new("RGB", (32, 32), (90, 90, 90)).save(tmp_path / "shop/grey.png")
    return tmp_path / "shop"


@pytest.fixture
def predict(model, capsys):
    """Runs the command; returns its exit code, standard output and standard error."""

    def run(*arguments: object, model: str = model) -> tuple[int, str, str]:
        code = cli.main(["predict", "--model", model, *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def answers(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_folder_is_answered_in_a_table_and_a_summary(predict, shop, model):
    code, out, err = predict(shop)
    assert (code, err) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    assert [row[1:4] for row in rows] == [
        [f"{shop}/a.jpg", "Dress", "100.00%"],
        [f"{shop}/b.png", "Dress", "100.00%"],
        [f"{shop}/grey.png", "unsure", "33.33%"],
        [f"{shop}/more/c.jpeg", "Bag", "100.00%"],
    ]
    assert rows[2][4].startswith("T-shirt/top 33.33%, Dress 33.33%")
    assert rows[2][5].startswith("33.33% is less than the 90.00% that an answer needs")
    assert "Second guess" in out
    assert "4 photos: 3 answered, 1 unsure, 0 failed" in out
    assert out.endswith(f"model: {model}\n")


def test_labels_are_in_spanish_and_top_gives_more_guesses(predict, shop, tmp_path):
    code, out, _ = predict(shop, "--labels", "es", "--top", "3", "--output", tmp_path / "a.jsonl")
    assert code == 0
    assert "Vestido" in out
    assert "dudosa" in out
    assert [guess["garment"] for guess in answers(tmp_path / "a.jsonl")[3]["guesses"]] == [
        "Bolso",
        "Camiseta",
        "Vestido",
    ]


def test_globs_and_paths_on_standard_input_are_taken(predict, shop, tmp_path, monkeypatch):
    assert "\n1 photo: 1 answered" in predict(f"{shop}/a.*")[1]
    paths = f"{shop}/a.jpg\n{shop}/more/c.jpeg\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(paths)))
    code, out, _ = predict("-", "--output", tmp_path / "a.csv")
    assert (code, "\n2 photos: 2 answered" in out) == (0, True)


def test_a_long_table_is_cut_and_says_so(predict, shop, monkeypatch):
    monkeypatch.setattr("prenda.prediction.show.ROWS", 2)
    out = predict(shop)[1]
    assert "… and 2 more; --output FILE.csv keeps every answer." in out


def sideways() -> bytes:
    """A photo whose EXIF says that it must be turned, and where it was taken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Secret camera"
    exif.get_ifd(0x8825)[1] = "N"
    content = io.BytesIO()
    Image.new("RGB", (40, 20), (0, 255, 0)).save(content, "JPEG", exif=exif)
    return content.getvalue()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def bomb() -> bytes:
    """A PNG of some bytes that claims 60,000 x 60,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


GREEN = Image.new("RGB", (32, 32), (0, 255, 0))
FRAMES = [Image.new("RGB", (32, 32), color) for color in ((0, 255, 0), (0, 0, 255))]
TEXTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
UNUSABLE = {  # name -> content, and words of the line that says why
    "empty.jpg": (b"", "is empty"),
    "cut.jpg": (saved(TEXTURE, "JPEG")[:-900], "cut off"),
    "text.jpg": (b"Dear shop, here are the photos.", "no picture"),
    "bomb.png": (bomb(), "60000 x 60000"),
    "dot.png": (saved(GREEN.resize((1, 1)), "PNG"), "1 x 1"),
    "narrow.png": (saved(GREEN.resize((4000, 10)), "PNG"), "4000 x 10"),
    "clear.png": (saved(Image.new("RGBA", (32, 32), (0, 255, 0, 0)), "PNG"), "transparent"),
}
USABLE = {  # name -> content, and words of its warning
    "named.jpg": (saved(GREEN, "PNG"), "PNG"),
    "moving.gif": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "animated"),
    "print.jpg": (saved(GREEN.convert("CMYK"), "JPEG"), ""),
    "deep.png": (saved(Image.fromarray(np.full((32, 32), 65535, np.uint16)), "PNG"), ""),
    "palette.png": (saved(GREEN.convert("P"), "PNG"), ""),
    "white.png": (saved(Image.new("RGB", (32, 32), "white"), "PNG"), ""),
    "sideways.jpg": (sideways(), ""),
    "half clear.png": (saved(Image.new("RGBA", (32, 32), (0, 255, 0, 128)), "PNG"), ""),
}


@pytest.fixture
def mixed(tmp_path):
    """A folder of every bad picture, a link to nothing, and the usable ones."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name, (content, _) in (UNUSABLE | USABLE).items():
        (folder / name).write_bytes(content)
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    return folder


def test_each_bad_picture_has_its_line_and_the_rest_is_answered(predict, mixed, tmp_path):
    code, out, err = predict(mixed, "--output", tmp_path / "a.jsonl")
    lines = {line.split(": ")[1].rpartition("/")[2]: line for line in err.splitlines()}
    assert code == 3
    assert set(lines) == {*UNUSABLE, "dangling.jpg"}
    for name, (_, words) in UNUSABLE.items():
        assert words in lines[name]
    assert "link" in lines["dangling.jpg"]
    assert f"{len(UNUSABLE) + 1} failed" in out
    rows = {row["photo"].rpartition("/")[2]: row for row in answers(tmp_path / "a.jsonl")}
    assert list(rows) == sorted(rows)
    for name, (_, words) in USABLE.items():
        assert rows[name]["error"] is None
        assert words in "; ".join(rows[name]["warnings"])
    assert {rows[name]["garment"] for name in ("named.jpg", "moving.gif", "palette.png", "sideways.jpg")} == {"Dress"}
    assert rows["empty.jpg"] | {"photo": ""} == {
        "photo": "",
        "garment": None,
        "confidence": None,
        "unsure": None,
        "guesses": [],
        "warnings": [],
        "error": "is empty",
    }


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_bad_picture_that_is_named_fails_alone(predict, mixed, name):
    code, out, err = predict(mixed / name, mixed / "sideways.jpg")
    assert (code, len(err.splitlines())) == (3, 1)
    assert "2 photos: 1 answered, 0 unsure, 1 failed" in out


def test_a_missing_and_an_unreadable_photo_fail_alone(predict, shop):
    code, _, err = predict(shop / "gone.jpg", shop / "a.jpg")
    assert code == 3
    assert err.startswith(f"prenda: {shop}/gone.jpg: ")
    assert len(err.splitlines()) == 1
    if os.geteuid():  # root may read everything
        (shop / "a.jpg").chmod(0)
        code, _, err = predict(shop / "a.jpg", shop / "b.png")
        assert (code, "permission" in err) == (3, True)


def test_no_photo_needs_more_memory_than_there_is_for_all(predict, shop, monkeypatch):
    def load(path, preparation):
        raise MemoryError

    monkeypatch.setattr(pipeline, "load", load)
    code, _, err = predict(shop / "a.jpg")
    assert (code, err) == (3, f"prenda: {shop}/a.jpg: needs more memory than is free: save it as a smaller JPEG\n")


NAMES = [
    "line\nbreak.jpg",
    "quote\"s and 'more'.jpg",
    "ñandú café 裙子.jpg",
    "-dash.jpg",
    "red\x1b[31m.jpg",
    "[bold].jpg",
]


def test_names_of_every_kind_are_answered_and_never_obeyed_by_the_terminal(predict, tmp_path, monkeypatch):
    folder = tmp_path / "named"
    for name in NAMES:
        photo(folder / name)
    (folder / "bad\x1b]0;title\x07\n.jpg").write_bytes(b"")
    monkeypatch.chdir(folder)
    code, out, err = predict(
        "--output", tmp_path / "a.jsonl", "--sort-into", tmp_path / "sorted", "--", ".", "-dash.jpg"
    )
    assert code == 3
    assert "\x1b" not in out + err
    assert r"red\x1b[31m.jpg" in out
    assert "[bold].jpg" in out
    assert len(err.splitlines()) == 1
    rows = [row["photo"].removeprefix("./") for row in answers(tmp_path / "a.jsonl") if row["error"] is None]
    assert sorted(rows) == sorted(NAMES)  # each once
    assert sorted(path.name for path in (tmp_path / "sorted/Dress").iterdir()) == sorted(NAMES)
    code, out, _ = predict("--output", tmp_path / "a.csv", "--", "-dash.jpg")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["photo"] == "'-dash.jpg"


def test_a_name_that_is_no_utf8_is_answered(predict, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    photo(tmp_path / "in/a.jpg").rename(tmp_path / "in" / name)
    code, out, _ = predict(tmp_path / "in", "--output", tmp_path / "a.parquet", "--sort-into", tmp_path / "sorted")
    assert code == 0
    assert r"caf\xe9.jpg" in out
    assert (tmp_path / "sorted/Dress" / name).is_file()


def test_a_terminal_of_another_encoding_shows_what_it_can(predict, tmp_path, monkeypatch):
    photo(tmp_path / "in/ñ 裙.jpg")
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert predict(tmp_path / "in")[0] == 0
    sys.stdout.flush()
    assert rb"\xf1 \u88d9.jpg" in shown.getvalue()


def test_nothing_of_exif_reaches_an_output(predict, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(sideways())
    assert b"Secret" in sideways()
    code, out, err = predict(
        tmp_path / "in",
        "--output",
        tmp_path / "a.json",
        "--explain",
        tmp_path / "explained",
        "--sort-into",
        tmp_path / "s",
    )
    assert code == 0
    assert "Secret" not in out + err + (tmp_path / "a.json").read_text("utf-8")
    picture = (tmp_path / "explained/a.jpg.explained.png").read_bytes()
    assert b"Secret" not in picture
    assert b"eXIf" not in picture
    assert (tmp_path / "s/Dress/a.jpg").read_bytes() == sideways()  # the shop's own original


def test_sorting_goes_by_the_labels_and_again_adds_nothing(predict, shop, tmp_path):
    for _ in range(2):  # the sorted folder lies among the photos
        code, out, _ = predict(shop, "--labels", "es", "--sort-into", shop / "sorted")
        assert (code, "4 photos" in out) == (0, True)
    assert sorted(path.relative_to(shop / "sorted").as_posix() for path in (shop / "sorted").rglob("*.*")) == [
        "Bolso/c.jpeg",
        "Vestido/a.jpg",
        "Vestido/b.png",
        "dudosa/grey.png",
    ]
    assert (shop / "a.jpg").is_file()


def test_a_photo_that_is_deleted_before_it_is_sorted_does_not_stop_the_others(predict, shop, tmp_path, monkeypatch):
    place = Sorter.place

    def late(self, photo, label):
        if photo.name == "a.jpg":
            photo.unlink()
        return place(self, photo, label)

    monkeypatch.setattr(Sorter, "place", late)
    code, out, _ = predict(shop, "--sort-into", tmp_path / "sorted", "--output", tmp_path / "a.jsonl")
    assert (code, "4 photos: 2 answered, 1 unsure, 1 failed" in out) == (3, True)
    assert answers(tmp_path / "a.jsonl")[0]["error"] == "was deleted after it was classified"
    assert (tmp_path / "sorted/Dress/b.png").is_file()


def test_links_are_made_instead_of_copies(predict, shop, tmp_path):
    predict(shop, "--sort-into", tmp_path / "sorted", "--link")
    assert (tmp_path / "sorted/Bag/c.jpeg").readlink() == (shop / "more/c.jpeg").resolve()


def test_shards_are_disjoint_and_complete(predict, shop, tmp_path):
    for number in (1, 2, 3):
        predict(shop, "--shard", f"{number}/3", "--output", tmp_path / "a.jsonl")
    shards = [answers(tmp_path / f"a.{number}-of-3.jsonl") for number in (1, 2, 3)]
    assert [len(shard) for shard in shards] == [2, 1, 1]
    predict(shop, "--output", tmp_path / "all.jsonl")
    both = sorted((row for shard in shards for row in shard), key=lambda row: row["photo"])
    assert both == answers(tmp_path / "all.jsonl")


def test_a_shard_without_photos_is_no_error(predict, shop, tmp_path):
    code, out, _ = predict(shop, "--shard", "9/9", "--output", tmp_path / "a.csv")
    assert (code, "0 photos" in out) == (0, True)
    assert len((tmp_path / "a.9-of-9.csv").read_text("utf-8").splitlines()) == 1


def test_an_interrupted_prediction_goes_on_where_it_was(predict, shop, tmp_path, monkeypatch):
    predict(shop, "--output", tmp_path / "whole.jsonl")
    add, load, loaded = outputs.Output.add, pipeline.load, []

    def add_and_stop(output, row):
        add(output, row)
        if output.total == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(outputs.Output, "add", add_and_stop)
    code, _, err = predict(shop, "--output", tmp_path / "a.jsonl")
    assert code == 128 + signal.SIGTERM
    assert err == "prenda: stopped by SIGTERM; the answers so far are kept, and the same command goes on.\n"
    assert len(answers(tmp_path / "a.jsonl.part")) == 1 + 2
    assert not (tmp_path / "a.jsonl").exists()
    monkeypatch.setattr(outputs.Output, "add", add)
    code, _, err = predict(shop, "--output", tmp_path / "a.jsonl", "--top", "3", "--sort-into", tmp_path / "sorted")
    assert code == 2
    assert "a.jsonl.part holds answers of an interrupted prediction with other --sort-into and --top: give the" in err
    monkeypatch.setattr(pipeline, "load", lambda path, preparation: loaded.append(path) or load(path, preparation))
    code, out, _ = predict(shop, "--output", tmp_path / "a.jsonl")
    assert (code, len(loaded)) == (0, 2)
    assert "4 photos, 2 of them before: 3 answered, 1 unsure, 0 failed" in out
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "a.jsonl.part").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--top", "0"], "--top is 0: give a number of guesses, at least 1."),
        (["--labels", "fr"], "--labels is 'fr', but the model has class names in en, es only: choose one of these."),
        (["--shard", "4/3"], "--shard is '4/3': give I/N with I from 1 to N, such as 1/8 … 8/8."),
        (["--shard", "half"], "--shard is 'half': give I/N with I from 1 to N, such as 1/8 … 8/8."),
        (["--link"], "--link makes links instead of copies: give --sort-into FOLDER too."),
        (["--output", "a.txt"], "--output is 'a.txt': give a name that ends with .csv, .json, .jsonl, .parquet."),
    ],
)
def test_a_wrong_argument_is_refused(predict, shop, arguments, text):
    assert predict(shop, *arguments) == (2, "", f"prenda: {text}\n")


@pytest.mark.parametrize("name", ["--sort-into", "--explain"])
def test_a_file_in_the_place_of_a_folder_is_refused(predict, shop, name):
    code, _, err = predict(shop, name, shop / "a.jpg")
    assert (code, err) == (2, f"prenda: {name} is '{shop}/a.jpg', which is a file: give the name of a folder.\n")


def test_a_folder_without_photos_fails_alone(predict, shop, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = predict(tmp_path / "empty", shop / "a.jpg")
    assert (code, err) == (3, f"prenda: {tmp_path}/empty: is a folder without photos\n")
    assert "\n2 photos: 1 answered, 0 unsure, 1 failed" in out


def test_no_photo_at_all_is_refused_and_leaves_nothing(predict, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    code, _, err = predict("-", "--output", tmp_path / "a.csv")
    assert code == 2
    assert "PHOTO is '-', and there is no photo: name photos, or a folder or a pattern that holds some." in err
    assert not list(tmp_path.glob("*a.csv*"))


def test_without_a_model_the_error_says_how_to_get_one(shop, capsys):
    assert cli.main(["predict", str(shop)]) == 2
    told = capsys.readouterr().err
    assert "holds neither a champion nor a finished run: `make shop` trains a model on photos" in told


def test_a_terminal_shows_progress_on_standard_error_only(predict, shop, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, out, err = predict(shop)
    assert "photos/s" in err
    assert "4 photos" in out


def test_a_bundle_on_disk_is_used_without_heavy_libraries(model, shop, tmp_path):
    arguments = ["predict", str(shop), "--model", model, "--output", "a.csv", "--sort-into", "sorted"]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
