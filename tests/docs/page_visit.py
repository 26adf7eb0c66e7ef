"""Starts a server, looks at its page, sends it a correction, and stops it as Ctrl-C does; `guide_commands` calls it.

    python tests/docs/page_visit.py PHOTO TYPE prenda serve …

The exit code is 0 if the page is there, the correction was kept, and the server stopped by itself.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

STOPPED = 128 + signal.SIGINT


def correct(address: str, photo: Path, given: str) -> None:
    """Send a photo with its type, as the page does."""
    boundary = uuid.uuid4().hex
    parts = [
        (f'name="type"\r\n\r\n{given}').encode(),
        (f'name="photo"; filename="{photo.name}"\r\n\r\n').encode() + photo.read_bytes(),
    ]
    start, end = f"--{boundary}\r\nContent-Disposition: form-data; ".encode(), f"--{boundary}--\r\n".encode()
    body = b"".join(start + part + b"\r\n" for part in parts) + end
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{address}/corrections", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201, answer.status


def main(photo: str, given: str, *command: str) -> int:
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            found = next(filter(None, (re.search(r"http://\S+", line) for line in server.stderr)))
            with urllib.request.urlopen(f"{found[0]}/", timeout=60) as page:
                assert b"<title>prenda</title>" in page.read()
            correct(found[0], Path(photo), given)
        finally:
            server.send_signal(signal.SIGINT)
            print(server.stderr.read(), file=sys.stderr)  # to its end: what a server writes must find a reader
    return 0 if server.returncode == STOPPED else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
