"""Runs every command of the shop's guide as it is written, in both languages; `.ci/run` calls it.

    python -m tests.docs.guide_commands

The commands run in a copy of the project with drawn photos. Its `experiment=shop` trains a tiny network on them, so no
data set and no weights are fetched, and a page takes a minute. A server is sent a correction and stopped. The exit code
is 1 if a command fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from prenda.config.paths import REPOSITORY
from tests.docs.photos import draw_garments
from tests.docs.readme_commands import lines

PAGES = {"docs/guide.md": ("photos", "my_photos"), "docs/es/guia.md": ("fotos", "mis_fotos")}
CLASSES = """
bags: {name: bag, es: bolso}
sandals: {name: sandal, es: sandalia}
dresses: {name: dress, es: vestido}
"""
TINY = """
data:
  image_size: 32
backbone:
  model: test_efficientnet
  weights: null
  weights_sha256: null
trainer:
  epochs: 2
  precision: "32"
"""


def commands(page: str) -> list[str]:
    """The commands of a guide's blocks, as they are written."""
    return list(lines((REPOSITORY / page).read_text(encoding="utf-8")))


def prepare(project: Path, unsorted: str, sorted_by_type: str) -> None:
    """Copy what a clone has, draw the reader's photos, and make the shop's experiments small."""
    for name in ("src", "conf", "docs"):
        shutil.copytree(REPOSITORY / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, project / name)
        os.utime(project / name, (0, 0))  # older than the environment, which make would change otherwise
    (project / ".venv").symlink_to(Path(sys.executable).parents[1])
    draw_garments(project / sorted_by_type, each=8)
    draw_garments(project / unsorted, each=2)
    (project / "classes.yaml").write_text(CLASSES, encoding="utf-8")
    shop = f"data:\n  dir: {project / sorted_by_type}\n  mapping: {project / 'classes.yaml'}\n"
    for experiment, photos in (("shop", shop), ("shop_own", "")):
        path = project / f"conf/experiment/{experiment}.yaml"
        content = path.read_text(encoding="utf-8").replace("/data: clothing", "/data: folder")
        path.write_text(_merged(content, TINY, photos), encoding="utf-8")


def _merged(*parts: str) -> str:
    """Return YAML texts as one; later values replace earlier ones."""
    from omegaconf import OmegaConf

    merged = OmegaConf.merge(*(OmegaConf.create(part or "{}") for part in parts))
    return "# @package _global_\n" + OmegaConf.to_yaml(merged)


def as_run(command: str, unsorted: str) -> str:
    """Return the command; one that starts a server runs below a script that visits its page and then stops it."""
    if not command.startswith("prenda serve"):
        return command
    photo, given = f"{unsorted}/bags/0.jpg", "sandals"
    return f"{sys.executable} {REPOSITORY}/tests/docs/page_visit.py {photo} {given} {command}"


def run(page: str) -> bool:
    """Run a page's commands in one shell, as its reader would; print the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "prenda")
        project.mkdir()
        prepare(project, *PAGES[page])
        environment = os.environ | {"PRENDA_HOME": str(project), "PYTHONPATH": str(project / "src")}
        steps = [f"printf '== %s\\n' {command!r}\n{as_run(command, PAGES[page][0])}" for command in commands(page)]
        script = "\n".join(["set -e", *steps])
        done = subprocess.run(["bash", "-c", script], cwd=project, env=environment, stdin=subprocess.DEVNULL)
        found = sorted(path.parent.name for path in project.glob("*/*/*.jpg") if path.parts[-3] not in PAGES[page])
    print(f"{page}: exit code {done.returncode}, sorted into {sorted(set(found))}")
    return done.returncode == 0 and bool(found)


def main() -> int:
    return 0 if all(run(page) for page in PAGES) else 1


if __name__ == "__main__":
    sys.exit(main())
