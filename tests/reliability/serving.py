"""Attacks on `prenda serve --keep-corrections`."""

from __future__ import annotations

import io
import random
import shutil
import signal
import socket
import threading
import time
from contextlib import suppress

import httpx
from PIL import Image

from prenda.data.photo_layout import labelled_files
from tests.prediction.bundles import write_bundle
from tests.reliability.commands import LossError
from tests.reliability.scenario import MOST_FAULTS, Scenario, same
from tests.server.process import Server, serving

TYPES = ("Dress", "Bag", "sandal", "coat")
CLIENTS, EACH = 3, 8  # clients at once, and the photos of each
SOON = 30.0  # seconds in which a killed server must answer again


class Serve(Scenario):
    """A server that is killed while clients send corrections, and started again at the same port."""

    name = "serve"

    def prepare(self) -> None:
        self.model = write_bundle(self.folder / "model")
        self.kept = self.folder / "kept"
        self.photos = [_photo(number) for number in range(CLIENTS * EACH)]
        with serving("--model", str(self.model), "--keep-corrections", str(self.kept)) as server:
            self.names = [self.correct(server.url, photo, "Bag") for photo in self.photos]

    def correct(self, url: str, photo: bytes, kind: str) -> str:
        """Send a correction; return the name under which it is kept."""
        files = {"photo": ("a.jpg", photo)}
        answer = httpx.post(f"{url}/corrections", files=files, data={"type": kind}, timeout=30)
        same("status of a correction", 201, answer.status_code)
        return f"{answer.json()['photo']}.jpg"

    def round(self, generator: random.Random, most: int = MOST_FAULTS) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.allowed: list[list[str]] = [[] for _ in self.photos]  # types that each photo may have now
        self.kept_once = [False for _ in self.photos]
        workers, draws = generator.choice(["1", "2"]), generator.randint(1, most)
        options = ("--model", str(self.model), "--keep-corrections", str(self.kept), "--workers", workers)
        for draw in range(draws + 1):
            with serving("--port", str(port), *options) as server:
                self.wait_until_ready(server)
                if draw < draws:
                    self.storm(server, generator)
            self.check_photos()
        self.check_folder()

    def wait_until_ready(self, server: Server) -> None:
        """Wait for the first answer, which must come soon."""
        until = time.monotonic() + SOON
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                if httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.02)
        raise LossError(f"the server does not answer within {SOON:g} seconds:\n{''.join(server.errors)}")

    def storm(self, server: Server, generator: random.Random) -> None:
        """Let all clients send corrections until the server is ended by a signal."""
        signum = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        seconds, seeds = generator.uniform(0.05, 1.5), [generator.random() for _ in range(CLIENTS)]
        clients = [threading.Thread(target=self.client, args=(server.url, *one)) for one in enumerate(seeds)]
        for client in clients:
            client.start()
        time.sleep(seconds)
        server.process.send_signal(signum)
        code = server.process.wait(60)
        for client in clients:
            client.join()
        self.faults += 1
        same("exit code of the server", -9 if signum is signal.SIGKILL else 143, code)

    def client(self, url: str, number: int, seed: float) -> None:
        """Send corrections of this client's photos, one after the other, until the server is gone."""
        generator = random.Random(seed)
        with httpx.Client(base_url=url, timeout=30) as client, suppress(httpx.TransportError):
            while True:
                place, kind = number * EACH + generator.randrange(EACH), generator.choice(TYPES)
                self.allowed[place].append(kind)
                files = {"photo": ("a.jpg", self.photos[place])}
                answer = client.post("/corrections", files=files, data={"type": kind})
                if answer.status_code == 201:
                    self.allowed[place], self.kept_once[place] = [kind], True

    def check_photos(self) -> None:
        """Check that each answered correction is kept, in one place, whole."""
        for place, name in enumerate(self.names):
            found = list(self.kept.glob(f"*/{name}"))
            if len(found) > 1 or (self.kept_once[place] and not found):
                raise LossError(f"{name} was corrected to {self.allowed[place]}, and is kept in {found}")
            for path in found:
                same(
                    f"{path.parent.name} is one of {self.allowed[place]}", True, path.parent.name in self.allowed[place]
                )
                with Image.open(path) as image:
                    image.load()

    def check_folder(self) -> None:
        """Check that the folder holds nothing else, and that `data=folder` can train on it."""
        if not self.kept.is_dir():
            return
        found = {path.name for path in self.kept.rglob("*") if path.is_file() and path.name != ".lock"}
        same("other files", set(), found - set(self.names))
        for file in labelled_files(self.kept):
            same(f"problem of {file.name}", None, file.problem)


def _photo(number: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((400, 300), 20 + number).convert("RGB").save(file, "JPEG")
    return file.getvalue()
