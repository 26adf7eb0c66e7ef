"""LitServe answering photos with a bundle: prenda's preparation and network behind another server.

python benchmarks/litserve_server.py BUNDLE PORT
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import litserve
from fastapi import File

from prenda.bundle.format import read
from prenda.photos.prepare import load
from prenda.prediction.predictor import Predictor


class Photos(litserve.LitAPI):  # type: ignore[misc]
    """One photo in, its class and probability out."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def setup(self, device: str) -> None:
        self._bundle = read(self._folder)
        assert self._bundle.preparation is not None
        self._predictor = Predictor(self._bundle)

    def decode_request(self, request: Annotated[bytes, File()]) -> Any:
        return load(request, self._bundle.preparation).pixels

    def predict(self, pixels: Any) -> Any:
        return self._predictor(pixels[None]).probabilities[0]

    def encode_response(self, probabilities: Any) -> dict[str, Any]:
        best = int(probabilities.argmax())
        return {"type": self._bundle.class_names[best], "probability": float(probabilities[best])}


if __name__ == "__main__":
    server = litserve.LitServer(Photos(Path(sys.argv[1])), accelerator="cpu", workers_per_device=2)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
