from __future__ import annotations

import os
from itertools import islice

from prenda.prediction.names import folder_names, numbered, recorded
from prenda.system.foreign_text import printable


def test_characters_that_a_terminal_obeys_or_hides_are_spelled_out():
    assert printable("a\x1b[31mred\nb\t\u202ec") == r"a\x1b[31mred\nb\t\u202ec"
    assert printable("Mañana «ropa» 裙子.jpg") == "Mañana «ropa» 裙子.jpg"


def test_bytes_that_are_no_utf8_are_spelled_out():
    name = os.fsdecode(b"caf\xe9.jpg")
    assert recorded(name) == printable(name) == r"caf\xe9.jpg"
    assert recorded("café\n.jpg") == "café\n.jpg"


def test_a_label_becomes_one_level_of_a_folder():
    labels = ["T-shirt/top", "../../etc", "a\\b", ".hidden", "Bag. ", "aux", "Con.x", "", "x" * 300, "Blusa «ñ»"]
    expected = ["T-shirt-top", "-..-etc", "a-b", "hidden", "Bag", "aux_", "Con.x_", "class", "x" * 80, "Blusa «ñ»"]
    assert folder_names(labels) == expected


def test_labels_that_would_share_a_folder_are_numbered():
    assert folder_names(["a/b", "A-b", "a:b"]) == ["a-b", "A-b (2)", "a-b (3)"]


def test_numbers_come_before_the_suffix():
    assert list(islice(numbered("dress", ".jpg"), 3)) == ["dress.jpg", "dress (2).jpg", "dress (3).jpg"]
