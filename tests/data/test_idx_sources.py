"""Each place that may have the files, asked through a data set whose files are found nowhere else."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prenda.errors import DataError
from tests.data.conftest import put


def test_files_of_a_system_package_are_taken(tiny, official, tmp_path):
    put(official, tmp_path / "system")
    tiny.fetch(tmp_path / "data")
    assert len(tiny.load(tmp_path / "data").train_labels) == 20


def test_official_mirrors_are_asked_in_turn(tiny, official, tmp_path, monkeypatch):
    from torchvision import datasets

    put(official, tmp_path / "served")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirrors = ["http://127.0.0.1:9/", f"http://127.0.0.1:{server.server_port}/"]  # nobody listens on the first
        monkeypatch.setattr(datasets.Tiny, "mirrors", mirrors)
        tiny.fetch(tmp_path / "data")
        server.shutdown()
    assert len(tiny.load(tmp_path / "data").test_labels) == 10


def test_a_mirror_that_does_not_answer_is_named(tiny, tmp_path, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets.Tiny, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/ did not answer \(.*refused"):
        tiny.fetch(tmp_path / "data")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is Debian's")
@pytest.mark.parametrize("lists_are_old", [False, True])
def test_a_debian_package_is_unpacked_without_installing(official, tiny, tmp_path, monkeypatch, lists_are_old):
    """A real package; apt-get is played by a script that needs `update` first where the system's lists are old."""
    system = tmp_path / "system"
    put(official, tmp_path / f"package{system}")
    (tmp_path / "package/DEBIAN").mkdir()
    (tmp_path / "package/DEBIAN/control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: tiny\n"
    )
    deb = tmp_path / "tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tmp_path / "package"), str(deb)], check=True, capture_output=True)
    updated = tmp_path / "updated"
    if not lists_are_old:
        updated.touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text(
        f'#!/bin/sh\ncase "$*" in *update*) touch {updated};; *) [ -f {updated} ] && cp {deb} .;; esac\n'
    )
    (tmp_path / "bin/apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    packaged = dataclasses.replace(tiny, debian_package="tiny")
    packaged.fetch(tmp_path / "data")
    assert len(packaged.load(tmp_path / "data").train_labels) == 20
    assert not system.exists()


def test_a_debian_package_that_cannot_be_had_is_told(tiny, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text("#!/bin/sh\necho 'E: Unable to locate package tiny' >&2; exit 100\n")
    (tmp_path / "bin/apt-get").chmod(0o755)
    (tmp_path / "bin/dpkg-deb").symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    packaged = dataclasses.replace(tiny, system_dirs=("/nowhere",), debian_package="tiny")
    with pytest.raises(DataError, match=r"apt-get could not fetch tiny \(E: Unable to locate package tiny\)"):
        packaged.fetch(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_told(tiny, tmp_path):
    (tmp_path / "a file").write_text("")
    told = r"data.dir is .*a file, where Tiny cannot be kept \(.*irectory.*\): make room or give data.dir=… a"
    with pytest.raises(DataError, match=told):
        tiny.fetch(tmp_path / "a file")
