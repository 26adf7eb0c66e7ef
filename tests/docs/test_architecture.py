"""docs/architecture.md and the contracts of import-linter say the same."""

from __future__ import annotations

import re
import tomllib

from prenda.config.paths import PACKAGE, REPOSITORY

PAGE = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]


def table_of_layers(page: str) -> list[list[str]]:
    """The packages of each row of the table of layers, from the top down."""
    table = page.split("| Layer |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.M)
    return [re.findall(r"`(\w+)`", row) for row in rows]


def test_the_table_has_the_layers_of_the_contract():
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"]
    assert table_of_layers(PAGE) == [layer.split(" | ") for layer in layers]


def test_the_table_is_read_as_it_is_written():
    page = "| Layer | Holds |\n|---|---|\n| `cli` | x |\n| `a`, `b` | uses `c` |\n\n| `not` | this |\n"
    assert table_of_layers(page) == [["cli"], ["a", "b"]]


def test_every_other_contract_is_explained():
    names = {contract["name"] for contract in CONTRACTS if contract["type"] != "layers"}
    assert names == set(re.findall(r"^- \*\*(.+?)\.\*\*", PAGE, re.M))


def test_every_package_has_a_page_in_the_api_reference():
    packages = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    packages -= {"__init__", "__main__"}
    folder = REPOSITORY / "docs/reference/api"
    pages = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert set(pages) == packages | {"index"}
    for package in packages:
        assert f"::: prenda.{package}\n" in pages[package]
        assert f"[{package}]({package}.md)" in pages["index"]
