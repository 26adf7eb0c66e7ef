"""How a report looks on a phone; needs Chromium alone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from prenda.report.page import Section, Table, write_page
from prenda.scoring.metrics import METRICS

pytestmark = pytest.mark.browser

PHONE = 393  # CSS pixels
MEASURE = """
<iframe id="phone" width="{width}" height="3000" style="border: 0" srcdoc="{page}"></iframe>
<script>
  phone.onload = () => {{
    const page = phone.contentDocument, right = element => element.getBoundingClientRect().right
    document.body.innerText = JSON.stringify({{
      page: page.documentElement.scrollWidth,
      links: Math.max(...[...page.querySelectorAll('nav a')].map(right)),
      tables: [...page.querySelectorAll('.wide')].map(box => box.scrollWidth - box.clientWidth),
    }})
  }}
</script>
"""


def test_a_phone_shows_every_link_and_column(tmp_path):
    scores = Table(("", "train", "val", "test"), [(metric.name, "100.00%", "93.10%", "92.64%") for metric in METRICS])
    columns = ("class", "precision", "recall", "f1-score", "support")
    classes = Table(columns, [(name, "0.9999", "1.0000", "0.9876", "10,000") for name in ("Ankle boot", "Shoe" * 9)])
    settings = Table(
        ("setting", "value"), [("tracking.command", "prenda train " + "data.val_size=200 " * 9)], text=True
    )
    sections = [Section("Scores", "", [scores]), Section("Classes", "", [classes]), Section("Settings", "", [settings])]
    sections += [
        Section(name) for name in ("Mistakes", "Confidence", "Training", "First layer", "Validation, by class")
    ]
    write_page(tmp_path / "report.html", "dense-generated-val_size=200-limit_train=500-seed0", "Accuracy.", sections)
    page = html.escape((tmp_path / "report.html").read_text(encoding="utf-8"))
    (tmp_path / "phone.html").write_text(MEASURE.format(width=PHONE, page=page), encoding="utf-8")

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    done = subprocess.run(
        [
            shutil.which("chromium") or "chromium",
            *options,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (tmp_path / "phone.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"\{.*\}", done.stdout)
    assert found is not None, done.stderr
    measured = json.loads(found[0])
    assert measured["page"] <= PHONE
    assert measured["links"] <= PHONE
    assert measured["tables"] == [0, 0, 0]
