from __future__ import annotations

import re

from matplotlib.figure import Figure

from prenda.report.page import Section, Table, write_page


def test_a_page_needs_no_other_file(tmp_path):
    Figure().savefig(tmp_path / "picture.png")
    table = Table(("class", "f1"), [("T-shirt/top", "0.9")])
    write_page(
        tmp_path / "new/page.html",
        "a run",
        "in one line",
        [Section("Classes", "", [table], [tmp_path / "picture.png"])],
    )
    page = (tmp_path / "new/page.html").read_text()
    assert "<td>T-shirt/top</td><td>0.9</td>" in page
    assert "data:image/png;base64,iVBOR" in page
    assert 'name="viewport"' in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_names_of_runs_are_no_markup(tmp_path):
    write_page(tmp_path / "page.html", "<script>alert(1)</script>", "", [])
    assert "<script>" not in (tmp_path / "page.html").read_text()


def test_long_cells_wrap_on_a_phone_and_numbers_do_not(tmp_path):
    """So the last column of a comparison is seen beside paths and names of runs."""
    table = Table(("setting", "A", "B"), [("data.dir", "/home/ana/photos/of/shirts", "+12.34")])
    write_page(tmp_path / "page.html", "a run", "", [Section("Settings", "", [table])])
    page = (tmp_path / "page.html").read_text()
    assert '<td>data.dir</td><td class="long">/home/ana/photos/of/shirts</td><td>+12.34</td>' in page
    assert re.search(
        r"@media \(max-width: 40rem\) \{[^@]*\.long,[^{]*\{ white-space: normal; overflow-wrap: anywhere", page
    )
