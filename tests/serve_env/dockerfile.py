"""Instructions of a Dockerfile, and its build without Docker: copies and RUN steps in a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

Instruction = tuple[str, str]  # such as ("RUN", "make")


def instructions(dockerfile: Path) -> list[Instruction]:
    """Return the instructions in order, each on one line, without comments."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text("utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, value.strip()) for name, _, value in (line.partition(" ") for line in lines if line.strip())]


def command(found: Sequence[Instruction], name: str) -> list[str]:
    """Return the last command of that name in exec form; that of HEALTHCHECK follows its options."""
    value = [value for known, value in found if known == name][-1]
    words: list[str] = json.loads(value[value.index("[") :])
    return words


def sent(path: Path, ignore: Path) -> bool:
    """Return whether Docker gets a file of the repository; the last pattern that fits decides."""
    decision = True
    names = [str(path), *map(str, path.parents)]
    for line in ignore.read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        fits = pattern in names or pattern == "*" or ("**/" in line and any(fnmatch(n, pattern) for n in path.parts))
        if line and not line.startswith("#") and fits:
            decision = line.startswith("!")
    return decision


def build(found: Sequence[Instruction], repository: Path, folder: Path) -> Path:
    """Carry out the first stage below a folder, with this Python, and return the environment that it makes."""
    stage = found[: [place for place, (name, _) in enumerate(found) if name == "FROM"][1]]
    source, made = folder / "source", folder / "opt/prenda"
    source.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())  # the image's Python is in no environment
    for name, value in stage:
        if name == "COPY":
            _copy(value.split(), repository, source)
        elif name == "RUN":
            text = value.replace("/opt/prenda", str(made))
            path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
            subprocess.run(["sh", "-ec", text], cwd=source, env=os.environ | {"PATH": path}, check=True, timeout=400)
    return made


def _copy(words: Sequence[str], repository: Path, source: Path) -> None:
    *names, target = words
    for name in names:
        origin = repository / name
        files = [origin] if origin.is_file() else [path for path in origin.rglob("*") if path.is_file()]
        files = [file for file in files if sent(file.relative_to(repository), repository / ".dockerignore")]
        assert files, f"COPY {name}: .dockerignore leaves nothing of it"
        for file in files:
            copied = source / target / (file.relative_to(origin) if origin.is_dir() else file.name)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
