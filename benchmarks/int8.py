"""What int8 weights and activations give and cost, for a bundle of photos.

    python benchmarks/int8.py --bundle FOLDER --calibrate FOLDER --photos FOLDER

Both folders of photos have a sub-folder for each class. ONNX Runtime's static quantization (per channel, QDQ) takes the
ranges of activations from the photos of --calibrate, which should be validation photos. The first and the last layers
stay float32 with --keep-ends. The table compares accuracy, agreement, the size of the file, and milliseconds of one
core a photo; both networks run in turn. Nothing in prenda uses int8; the table shows whether it would pay.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from prenda.bundle.format import Bundle, read
from prenda.photos.find import find
from prenda.photos.prepare import load
from written import table

BATCH = 8
ROUNDS = 5
QUANTIZED = ["Conv", "Gemm", "MatMul", "Add"]

Pixels = NDArray[np.uint8]


class Photos(CalibrationDataReader):  # type: ignore[misc]
    """Batches of prepared photos, as ONNX Runtime's calibration asks for them."""

    def __init__(self, pixels: Pixels) -> None:
        self._batches: Iterator[dict[str, Pixels]] = ({"pixels": batch} for batch in _batches(pixels))

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._batches, None)


def prepared(bundle: Bundle, folder: Path) -> tuple[Pixels, NDArray[np.str_]]:
    """Return the pixels of all photos below a folder, and the names of their sub-folders."""
    assert bundle.preparation is not None
    found = list(find([str(folder)]))
    pixels = np.stack([load(each.path, bundle.preparation).pixels for each in found])
    return pixels, np.array([each.path.parent.name for each in found])


def quantize(network: Path, target: Path, calibration: Pixels, keep_ends: bool) -> None:
    """Write the int8 form of a network."""
    folded = target.with_suffix(".folded.onnx")
    quant_pre_process(str(network), str(folded), skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(folded).graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    quantize_static(
        str(folded),
        str(target),
        Photos(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[convolutions[0], *convolutions[-2:]] if keep_ends else [],
    )


def session(network: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


def probabilities(network: onnxruntime.InferenceSession, pixels: Pixels) -> NDArray[np.float32]:
    return np.concatenate([network.run(["probabilities"], {"pixels": batch})[0] for batch in _batches(pixels)])


def milliseconds(networks: Sequence[onnxruntime.InferenceSession], pixels: Pixels) -> list[float]:
    """Return milliseconds of one core a photo for each network; they run in turn."""
    taken: list[list[float]] = [[] for _ in networks]
    for _ in range(ROUNDS):
        for network, times in zip(networks, taken, strict=True):
            before = time.process_time()
            probabilities(network, pixels)
            times.append((time.process_time() - before) / len(pixels) * 1e3)
    return [statistics.median(times) for times in taken]


def compare(bundle: Bundle, calibrate: Path, photos: Path, keep_ends: bool) -> str:
    """Return the table."""
    calibration, _ = prepared(bundle, calibrate)
    pixels, labels = prepared(bundle, photos)
    names = np.array(bundle.class_names)
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(bundle.network), Path(scratch) / "int8.onnx"]
        quantize(files[0], files[1], calibration, keep_ends)
        networks = [session(file) for file in files]
        sizes = [file.stat().st_size / 1e6 for file in files]
    answers = [names[probabilities(network, pixels).argmax(1)] for network in networks]
    times = milliseconds(networks, pixels[: 8 * BATCH])
    rows = [
        [name, f"{(found == labels).mean():.2%}", f"{(found == answers[0]).mean():.2%}", f"{ms:.2f}", f"{size:.1f}"]
        for name, found, ms, size in zip(("float32", "int8"), answers, times, sizes, strict=True)
    ]
    return table(["network", "accuracy", "same answer as float32", "ms of a core for a photo", "MB"], rows)


def _batches(pixels: Pixels) -> Iterator[Pixels]:
    for start in range(0, len(pixels), BATCH):
        yield pixels[start : start + BATCH]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a bundle of photos")
    parser.add_argument("--calibrate", type=Path, required=True, help="validation photos, a sub-folder for each class")
    parser.add_argument("--photos", type=Path, required=True, help="photos to score, a sub-folder for each class")
    parser.add_argument("--keep-ends", action="store_true", help="keep the first and the last layers in float32")
    asked: Any = parser.parse_args(arguments)
    print(compare(read(asked.bundle), asked.calibrate, asked.photos, asked.keep_ends))
    return 0


if __name__ == "__main__":
    sys.exit(main())
