"""Files of others that would execute code, take the memory, write elsewhere or speak to a terminal, browser or sheet.

docs/promises.md lists every kind with the test that covers it; those that are tested beside their readers are not here.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import shutil
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from prenda.backbones import weights
from prenda.bundle import champions
from prenda.bundle.format import NETWORK, WEIGHTS, Bundle, checksum, foreign_links, read
from prenda.cli import main
from prenda.config import recorded
from prenda.config.convert import as_plain
from prenda.data import photo_archive
from prenda.data.class_mapping import read_mapping
from prenda.data.photo_archive import fetch_archive
from prenda.data.photo_files import PhotoDataSet, PhotoFiles, PhotoSettings
from prenda.errors import BundleError, CheckpointError, ConfigError, DataError, UserError
from prenda.prediction.models import _learned_from_photos
from prenda.prediction.outputs import opened, part_of
from prenda.prediction.predictor import Predictor
from prenda.report.tables import UNREADABLE, read_predictions
from prenda.search.recorded_plan import _recorded
from prenda.tracking.journal import Journal
from prenda.tracking.send import _is_inside
from prenda.training import checkpoints
from prenda.training.checkpoint_digest import damage
from prenda.training.train import train
from tests.conftest import TINY, configured
from tests.data.photos import write_photo, write_shop
from tests.prediction.bundles import write_bundle
from tests.reliability.limited import limited
from tests.training.test_train import DENSE

DEEP = b"[" * 200_000
ESCAPE = "\x1b[2J\x1b]0;mine\x07"
MARKUP = "<script>alert(1)</script>"
PICTURE = "![](https://example.org/seen.png)"
FORMULA = '=HYPERLINK("https://example.org","open")'
TAG = "!!python/object/apply:os.mkdir"


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


# Arrays


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: Any, shape: str | None = None, allow_pickle: bool = False) -> bytes:
    """An array as a file, with another shape in its header."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    if shape is None:
        return file.getvalue()
    header = f"{{'descr': '{np.asarray(array).dtype.str}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + np.asarray(array).tobytes()


def predictions(**changes: bytes) -> dict[str, bytes]:
    arrays = {
        "logits": npy(np.zeros((3, 2), np.float32)),
        "labels": npy(np.array([0, 1, 1])),
        "class_names": npy(np.array(["coat", "hat"])),
    }
    return arrays | changes


def test_predictions_execute_nothing(tmp_path):
    code = np.array([Code(tmp_path / "made")], dtype=object)
    for name in ("logits", "labels", "class_names"):
        path = npz(tmp_path / f"{name}.npz", **predictions(**{name: npy(code, allow_pickle=True)}))
        with pytest.raises(UNREADABLE, match="Object arrays cannot be loaded"):
            read_predictions(path)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Code(tmp_path / "made")))
    with pytest.raises(UNREADABLE):
        read_predictions(tmp_path / "pickle.npz")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": npy(np.zeros((3, 3), np.float32))},
        {"logits": npy(np.zeros((3, 2), np.int64))},
        {"logits": npy(np.zeros(3, np.float32))},
        {"logits": npy(np.float32(1))},
        {"labels": npy(np.array([0, 1, 2]))},
        {"labels": npy(np.array([0, 1, -1]))},
        {"labels": npy(np.array([0.0, 1.0, 1.0]))},
        {"labels": npy(np.array(1))},
        {"labels": npy(np.array(["a", "b", "c"]))},
        {"class_names": npy(np.array(["coat"]))},
        {"class_names": npy(np.array("coat"))},
    ],
)
def test_predictions_of_another_shape_are_refused(changes, tmp_path):
    with pytest.raises(UNREADABLE):
        read_predictions(npz(tmp_path / "a.npz", **predictions(**changes)))


def test_an_array_alone_is_no_file_of_predictions(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy(np.zeros(3)))
    with pytest.raises(UNREADABLE, match="not a zip file"):
        read_predictions(tmp_path / "a.npz")


READ_PREDICTIONS = """
from prenda.report.tables import UNREADABLE, read_predictions
limit()
try:
    read_predictions(path)
except UNREADABLE as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["(1000000000, 2)", "(100000000000000, 2)", "(4611686018427387904, 4)", "(-1, 2)"])
def test_a_shape_that_no_memory_holds_is_refused(shape, tmp_path):
    path = npz(tmp_path / "a.npz", **predictions(logits=npy(np.zeros(4, np.float32), shape)))
    assert limited(READ_PREDICTIONS, path)


@pytest.mark.slow
def test_predictions_that_unpack_to_more_than_any_run_has_are_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("logits.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(17):
            member.write(bytes(2**26))
    assert (tmp_path / "a.npz").stat().st_size < 2**23
    assert "its arrays have 1,140,850,688 bytes, more than 1,073,741,824" in limited(
        READ_PREDICTIONS, tmp_path / "a.npz"
    )


# Checkpoints and weights


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(configured(*TINY, *DENSE), folder).checkpoint


def changed(checkpoint: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    kept = checkpoints.read(checkpoint)
    change(kept)
    checkpoints.AtomicCheckpointIO().save_checkpoint(kept, path)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda kept: kept["prenda"].update(pixels=5), "its prenda.pixels is 5, not mean and std of channels"),
        (lambda kept: kept["prenda"].update(pixels={"mean": [1.0]}), "its prenda.pixels is {'mean': [1.0]}, not"),
        (lambda kept: kept["prenda"].update(pixels={"mean": [1.0], "std": [0.0]}), "'std': [0.0]}, not mean and std"),
        (lambda kept: kept["prenda"].update(accuracy="best"), "its prenda.accuracy is of the type str, not Real"),
        (lambda kept: kept["prenda"].update(config={"backbone": {"_target_": "os.system"}}), "it lacks the setting"),
    ],
)
def test_notes_of_another_version_are_refused_by_name(checkpoint, change, told, tmp_path, capsys):
    path = changed(checkpoint, tmp_path / "a.ckpt", change)
    assert main(["evaluate", str(path)]) == 2
    printed = capsys.readouterr().err
    assert f"prenda: {path} was made by another version of prenda: " in printed
    assert told in printed


def test_unknown_notes_do_no_harm(checkpoint, tmp_path, capsys):
    path = changed(checkpoint, tmp_path / "a.ckpt", lambda kept: kept["prenda"].update(colour={"a": [1]}))
    assert main(["evaluate", str(path)]) == 0


@pytest.mark.parametrize("group", ["backbone", "optimizer", "scheduler"])
def test_a_target_in_a_checkpoint_is_not_called(group, checkpoint, tmp_path, capsys):
    made = tmp_path / "made"
    hostile = {"_target_": "os.mkdir", "_args_": [str(made)]}
    for target in (hostile, {"_target_": "builtins.eval", "_args_": [f"open({str(made)!r}, 'w')"]}):
        path = changed(
            checkpoint, tmp_path / "a.ckpt", lambda kept, value=target: kept["prenda"]["config"].update({group: value})
        )
        assert main(["evaluate", str(path)]) == 2
        assert f"{group}._target_ is {target['_target_']}, which is not trusted" in capsys.readouterr().err
    assert not made.exists()


@pytest.mark.parametrize(
    "inner",
    [
        {"_target_": "os.mkdir", "_args_": ["MADE"]},
        {"_target_": "torch.optim.AdamW", "_args_": [{"_target_": "os.mkdir", "_args_": ["MADE"]}]},
        {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.mkdir", "_args_": ["MADE"]}},
        {"_target_": "prenda.backbones.timm.os.mkdir", "_args_": ["MADE"]},
    ],
)
def test_a_target_inside_a_setting_is_not_called(inner, checkpoint, tmp_path, capsys):
    made = tmp_path / "made"
    hostile = json.loads(json.dumps(inner).replace("MADE", str(made)))

    def change(kept: dict[str, Any]) -> None:
        kept["prenda"]["config"]["backbone"]["units"] = hostile

    assert main(["evaluate", str(changed(checkpoint, tmp_path / "a.ckpt", change))]) == 2
    told = rf"prenda: backbone\.units\S*\._target_ is ({re.escape(hostile['_target_'])}|os.mkdir), (which|but) "
    assert re.search(told, printed := capsys.readouterr().err), printed
    assert "Traceback" not in printed
    assert not made.exists()


@pytest.mark.parametrize("key", ["_execution_whitelist_", "_recursive_", "_convert_", "_partial_", "_isolate_"])
def test_a_checkpoint_does_not_say_what_is_trusted(key, checkpoint, tmp_path, capsys):
    made = tmp_path / "made"
    value = ["os.*", "builtins.*"] if key == "_execution_whitelist_" else True
    backbone = {"_target_": "os.mkdir", "_args_": [str(made)], key: value}
    path = changed(checkpoint, tmp_path / "a.ckpt", lambda kept: kept["prenda"]["config"].update(backbone=backbone))
    assert main(["evaluate", str(path)]) == 2
    assert "backbone" in capsys.readouterr().err
    assert not made.exists()


def test_a_callback_of_a_run_is_one_of_lightnings(checkpoint, tmp_path, capsys):
    config = recorded.load(checkpoint.parents[1] / "config.yaml")
    folder = tmp_path / "run"
    folder.mkdir()
    plain = as_plain(config) | {"callbacks": {"mine": {"_target_": "os.mkdir", "_args_": [str(tmp_path / "made")]}}}
    (folder / "config.yaml").write_text(json.dumps(plain))
    assert main(["resume", str(folder)]) == 2
    assert "callbacks.mine._target_ is os.mkdir, which is not trusted" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.bin", "a.safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02]q\x00.",
        b"\x80\x02X\xff\xff\xff\x7f",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 90)
        + b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}'.ljust(90),
        struct.pack("<Q", 90) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4611686018427387904]}}'.ljust(90),
        b"PK\x03\x04" + bytes(40),
        DEEP,
    ],
    ids=lambda content: repr(content)[:30],
)
def test_weights_that_claim_more_than_they_hold_are_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"backbone.weights names {name}, "):
        weights.read(weights.WeightFile(tmp_path / name, "mine"))


@pytest.mark.parametrize("flags", [0x1, 0x0], ids=["password", "compression"])
def test_a_checkpoint_that_cannot_be_unpacked_is_damaged(flags, tmp_path):
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"abc")
    path.write_bytes(forged(path.read_bytes(), flags=flags, method=0 if flags else 99))
    assert damage(path)
    with pytest.raises(CheckpointError, match=r"a.ckpt is damaged \("):
        checkpoints.read(path)


def forged(content: bytes, *, flags: int = 0, method: int = 0) -> bytes:
    """A zip archive whose members claim a password or another compression."""
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content = content[: start + place] + struct.pack("<HH", flags, method) + content[start + place + 4 :]
            start = content.find(mark, start + 4)
    return content


# Configurations


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
READERS: dict[str, Callable[[Path], object]] = {
    "config.yaml": recorded.load,
    "sweep.yaml": _recorded,
    "classes.yaml": read_mapping,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]\n",
        "[" * 20_000,
        "a:\n" + "".join(" " * n + "- \n" for n in range(1, 3000)),
        f"a: {TAG} [MADE]\n",
        "a: !!python/name:os.system\n",
        "a: 2020-99-99\n",
        "? [1, 2]\n: 3\n",
        "a: 1\na: 2\n",
        "\x00",
        "data: 5\nsettings: 5\nspace: 5\n",
        "settings: {a: 5}\nspace: {}\nobjectives: []\ncommand: x\n",
        "settings: {}\nspace: {a: [1]}\nobjectives: []\ncommand: x\n",
    ],
    ids=lambda text: repr(text)[:24],
)
def test_a_hostile_configuration_is_refused_by_name(name, text, tmp_path):
    path, made = tmp_path / name, tmp_path / "made"
    path.write_text(text.replace("MADE", str(made)))
    with pytest.raises(UserError) as refused:
        READERS[name](path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 2000
    assert not made.exists()


def test_a_recorded_configuration_looks_nothing_up(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET", "hunter2")
    plain = as_plain(configured("data=generated"))
    for setting in ("data.dir", "tracking.uri", "backbone.activation"):
        group, _, name = setting.partition(".")
        kept = plain | {group: plain[group] | {name: "https://example.org/${oc.env:SECRET}"}}
        with pytest.raises(ConfigError) as refused:
            recorded.restore(kept, "a run")
        told = f"a run was made by another version of prenda: its {setting} has a reference (${{…}}), where a run"
        assert str(refused.value).startswith(told)
        assert "hunter2" not in str(refused.value)


def test_a_command_is_kept_as_it_was_typed(monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    typed = "prenda train 'data.dir=${oc.env:SECRET}' 'ema=${nothing}'"
    plain = as_plain(configured("data=generated"))
    back = recorded.restore(plain | {"tracking": plain["tracking"] | {"command": typed, "run_name": "${x}"}}, "a run")
    assert (back.tracking.command, back.tracking.run_name) == (typed, "${x}")


# Bundles


def described(folder: Path, **changes: Any) -> Path:
    content = json.loads((folder / "model.json").read_text())
    content |= changes
    (folder / "model.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image_shape": [3, 10**9, 10**9]}, "image_shape [3, 1000000000, 1000000000] with 3 channels of pixels is in"),
        ({"image_shape": [3, 0, 0]}, "image_shape [3, 0, 0]"),
        ({"image_shape": [7, 16, 16]}, "image_shape [7, 16, 16]"),
        ({"image_shape": [3, 32, 32]}, "does not make pictures of 3 channels, 32 pixels"),
        ({"preparation": {"kind": "pad", "size": 10**9, "channels": 3, "native": 28}}, "is invalid"),
        ({"preparation": {"kind": "pad", "size": 16, "channels": 1, "native": 28}}, "does not make pictures of 3 chan"),
        ({"preparation": {"kind": "pad", "size": 1e400, "channels": 3, "native": 28}}, "infinity"),
        ({"class_names": [], "labels": {}}, "class_names is empty"),
        ({"data": {"name": "mine"}}, "data has no 'content_hash'"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"pixels": {"mean": [0], "std": [float("nan")], "channels": 3, "polarity": "as seen"}}, "std [nan] must be"),
        ({"files": {NETWORK: ["x"], WEIGHTS: None}}, "model.onnx is damaged (its SHA-256 is"),
    ],
)
def test_a_bundle_that_lies_about_itself_is_refused(changes, told, tmp_path):
    folder = described(write_bundle(tmp_path / "bundle"), **changes)
    with pytest.raises(BundleError, match=re.escape(told)):
        read(folder)


@pytest.mark.parametrize("content", [DEEP, b'{"format":' * 100_000, b"1" * 5000, b'{"format": 2e999}'])
def test_a_description_of_any_depth_is_refused(content, tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.json (is damaged|has format inf)"):
        read(folder)
    assert not _learned_from_photos(folder)


def with_network(folder: Path, change: Callable[[onnx.ModelProto], Any], **changes: Any) -> Bundle:
    """A bundle whose network was changed, with a description that fits."""
    folder = write_bundle(folder)
    model = onnx.load_from_string((folder / NETWORK).read_bytes())
    change(model)
    (folder / NETWORK).write_bytes(model.SerializeToString())
    files = {name: checksum(folder / name) for name in (NETWORK, WEIGHTS)}
    return read(described(folder, files=files, **changes))


def answered(bundle: Bundle) -> None:
    Predictor(bundle)(np.zeros((1, *bundle.pixel_shape), np.uint8))


def elsewhere(location: str) -> Callable[[onnx.ModelProto], None]:
    """Keep the weight of the network in another file."""

    def change(model: onnx.ModelProto) -> None:
        (weight,) = model.graph.initializer
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "36")):
            weight.external_data.add(key=key, value=value)

    return change


@pytest.mark.parametrize("location", ["../secret", "ABSOLUTE", "link", "/etc/passwd", "/dev/zero", "nothing"])
def test_a_network_reads_no_file_but_its_own(location, tmp_path):
    (tmp_path / "secret").write_bytes(np.ones(9, np.float32).tobytes())
    location = location.replace("ABSOLUTE", str(tmp_path / "secret"))
    bundle = with_network(tmp_path / "bundle", elsewhere(location))
    (bundle.folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match=r"model\.onnx cannot be used \("):
        answered(bundle)


def custom(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="mine", version=1)
    node = helper.make_node("Run", ["pixels"], ["ran"], domain="mine")
    model.graph.node.insert(0, node)


def huge(model: onnx.ModelProto) -> None:
    (weight,) = model.graph.initializer
    weight.dims[:] = [2**40, 2**20]


def one_class_less(model: onnx.ModelProto) -> None:
    (weight,) = model.graph.initializer
    weight.CopyFrom(numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), weight.name))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = 2


def of_no_shape(model: onnx.ModelProto) -> None:
    one_class_less(model)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def renamed(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "logits"


@pytest.mark.parametrize("change", [custom, huge, one_class_less, of_no_shape, renamed])
def test_a_hostile_network_is_refused(change, tmp_path):
    bundle = with_network(tmp_path / "bundle", change)
    with pytest.raises(BundleError, match=r"model\.onnx "):
        answered(bundle)


def test_a_target_in_a_bundle_is_not_called(tmp_path, capsys):
    config = {"backbone": {"_target_": "os.mkdir", "_args_": [str(tmp_path / "made")]}}
    folder = described(write_bundle(tmp_path / "bundle"), config=config)
    write_photo(tmp_path / "a.jpg", 0)
    assert main(["predict", str(tmp_path / "a.jpg"), "--model", str(folder)]) == 0
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"none", pickle.dumps({"a": 1}), b"", struct.pack("<Q", 2**60)])
def test_weights_of_a_bundle_that_are_no_tensors_are_refused(content, tmp_path, capsys):
    folder = write_bundle(tmp_path / "bundle")
    (folder / WEIGHTS).write_bytes(content)
    described(folder, files={name: checksum(folder / name) for name in (NETWORK, WEIGHTS)})
    assert main(["train", *TINY, *DENSE, f"init_from={folder}", f"hydra.run.dir={tmp_path}/run"]) == 2
    assert f"init_from is {str(folder)!r}, whose weights.safetensors cannot be read (" in capsys.readouterr().err


def test_a_copy_of_a_bundle_takes_no_file_of_others_along(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    (tmp_path / "secret").write_text("secret")
    for name in ("card.md", "notes.txt"):
        (folder / name).symlink_to(tmp_path / "secret")
    shutil.copytree(folder, tmp_path / "copy", ignore=foreign_links)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["model.json", NETWORK, WEIGHTS]


def test_a_promotion_that_names_another_folder_is_forgotten(tmp_path):
    bundles = champions.folder() / champions.BUNDLES
    bundles.mkdir(parents=True)
    (tmp_path / "kept-0").mkdir()
    for record in (b'{"link": "..", "copied": "../../x", "uri": "", "model": "", "version": 1}', b"[]", b"{", DEEP):
        (bundles / champions.RECORD).write_bytes(record)
        champions.settle(lambda _: True)
        assert not champions.is_promoted()
    assert (tmp_path / "kept-0").is_dir()


# Archives and data files


def fetched(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    fetch_archive(folder / "shop", [folder / name], "https://example.org", "shop")
    return folder / "shop"


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings(action="ignore"):
        for member, content in members:
            archive.writestr(member, content)
    return file.getvalue()


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/coat/link.jpg")
    member.create_system, member.external_attr = 3, 0o120777 << 16
    return member


def test_a_zip_file_writes_nothing_outside_and_makes_no_link(tmp_path):
    names = ("../../escaped.jpg", "/escaped.jpg", "a/train/../../escaped.jpg", "train\\..\\..\\escaped.jpg", "C:x.jpg")
    content = zipped(("train/coat/a.jpg", b"a"), (link(), b"/etc/passwd"), *((name, b"bad") for name in names))
    shop = fetched(tmp_path / "data", "shop.zip", content)
    found = sorted(path.relative_to(shop).as_posix() for path in shop.rglob("*") if not path.is_dir())
    assert found == ["train/coat/a.jpg", "train/coat/link.jpg"]
    assert not (shop / "train/coat/link.jpg").is_symlink()
    assert not list(tmp_path.parent.rglob("*escaped*"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            zipped(("train/coat/a.jpg", b"a"), ("train/coat/a.jpg", b"b")),
            "shop.zip holds 'train/coat/a.jpg' twice: fet",
        ),
        (zipped(("train/coat/a.jpg", b"a"), ("x/train/coat/a.jpg", b"b")), "shop.zip holds 'train/coat/a.jpg' twice"),
        (
            forged(zipped(("train/coat/a.jpg", b"a")), flags=1),
            "shop.zip is no complete archive (File <ZipInfo filename='train/coat/a",
        ),
        (forged(zipped(("train/coat/a.jpg", b"a")), method=99), "shop.zip is no complete archive (That compression me"),
        (
            zipped(("train/coat/a.jpg", bytes(9999))).replace(b"\xed\xc1", b"\xff\xff"),
            "shop.zip is no complete archive (",
        ),
    ],
)
def test_a_hostile_zip_file_is_refused_and_leaves_nothing(content, told, tmp_path):
    with pytest.raises(DataError, match=re.escape(told)):
        fetched(tmp_path, "shop.zip", content)
    assert not (tmp_path / "shop").exists()


def test_more_files_than_a_disk_keeps_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_archive, "LARGEST", 10 * photo_archive.SMALLEST)
    members = [(f"train/coat/{number}.jpg", b"") for number in range(20)]
    with pytest.raises(DataError, match=r"shop.zip is larger than .* has ever been"):
        fetched(tmp_path, "shop.zip", zipped(*members))


FETCH_ARCHIVE = """
from prenda.data.photo_archive import fetch_archive
from prenda.errors import DataError
limit()
try:
    fetch_archive(path.parent / "shop", [path], "https://example.org", "shop")
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_a_tar_file_that_unpacks_to_more_than_the_memory_is_refused(kind, tmp_path):
    member = tarfile.TarInfo("train/coat/a.jpg")
    member.type, member.size = kind, 2**40
    packed = gzip.compress(member.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(2**23)) * 64
    (tmp_path / "shop.tar.gz").write_bytes(packed)
    told = limited(FETCH_ARCHIVE, tmp_path / "shop.tar.gz")
    assert "shop.tar.gz is no complete archive (" in told or "shop.tar.gz is larger than" in told
    assert not (tmp_path / "shop").exists()


READ_IDX = """
from prenda.data import idx_files
from prenda.data.datasets.fashion_mnist import DATA_SET
idx_files.LARGEST = 10_000_000
limit()
print(DATA_SET.absent(path))
"""


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"])
def test_a_data_file_that_unpacks_to_more_than_the_memory_is_not_the_official_one(name, tmp_path):
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(gzip.compress(bytes(2**23)) * 100)
    else:
        path.touch()
        os.truncate(path, 2**40)
    assert limited(READ_IDX, tmp_path, megabytes=100) == "[0, 1, 2, 3]\n"


def test_a_hostile_index_of_photos_is_made_again(tmp_path):
    shop = write_shop(tmp_path / "shop", {"coat": 8, "hat": 8})
    expected = photos(shop).content_hash
    (index,) = (tmp_path / "home").rglob("index-*.json")
    entry = json.loads(index.read_text())
    name = next(iter(entry["photos"]))
    wrong = {"digest": [*entry["photos"][name][:3], 5, 0, None], "short": [1], "mapping": {}, "text": "abcdef"}
    for content in (DEEP, *(json.dumps(entry | {"photos": {name: value}}).encode() for value in wrong.values())):
        index.write_bytes(content)
        assert photos(shop).content_hash == expected


def photos(folder: Path) -> PhotoFiles:
    from prenda.data.datasets import find

    data_set = find("folder")
    assert isinstance(data_set, PhotoDataSet)
    return data_set.files(folder, PhotoSettings())


def test_links_and_pipes_in_a_folder_of_photos_are_counted_once_or_skipped(tmp_path):
    shop = write_shop(tmp_path / "shop", {"coat": 9, "hat": 9})
    (shop / "coat/loop.jpg").symlink_to("loop.jpg")
    (shop / "coat/again").symlink_to(shop, target_is_directory=True)
    (shop / "coat/hard.jpg").hardlink_to(shop / "coat/000.jpg")
    (shop / "coat/device.jpg").symlink_to("/dev/zero")
    os.mkfifo(shop / "coat/pipe.jpg")
    files = files_of(shop)
    assert {one.name for one in files.skipped} == {"coat/loop.jpg", "coat/device.jpg", "coat/pipe.jpg"}
    assert len(files.names) == 18


def files_of(folder: Path) -> PhotoFiles:
    from prenda.data.datasets import find

    data_set = find("folder")
    assert isinstance(data_set, PhotoDataSet)
    return data_set.files(folder, PhotoSettings(max_unreadable=0.5))


# Records


def test_a_journal_sends_no_file_of_others(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret").write_text("secret")
    (run / "link.txt").symlink_to("../secret")
    (run / "own.txt").write_text("own")
    inside = {name: _is_inside(run / name, run) for name in ("own.txt", "link.txt", "../secret", "/etc/passwd", ".")}
    assert inside == {"own.txt": True, "link.txt": False, "../secret": False, "/etc/passwd": False, ".": True}


def test_lines_of_others_in_a_journal_are_skipped(tmp_path):
    lines = [b"5", b"[]", b'"text"', b"{}", DEEP, b'{"delivered": "x"}', b'{"kind": "tags"}', b"\xff", b"null"]
    journal = Journal(tmp_path)
    journal.append("tags", tags={})
    with journal.path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)
    assert [record["kind"] for record in Journal(tmp_path).records()] == ["tags"]


@pytest.mark.parametrize("line", [b"5", b"{}", b'{"photo": "a.jpg"}', b'{"photo": 5}', b"[]", b"\xff", DEEP])
def test_answers_of_others_are_refused(line, tmp_path):
    path = tmp_path / "a.csv"
    part_of(path).write_bytes(b'{"prenda": {"model": "x"}}\n' + line + b"\n")
    told = r"a.csv.part is damaged \(the line .* is no answer\): delete the file to"
    with pytest.raises(UserError, match=told), opened(path, {"model": "x"}) as output:
        output.kept("a.jpg")


def test_a_picture_of_others_is_no_tensor_of_a_checkpoint(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1).expand(2**40)}}, tmp_path / "a.ckpt")
    assert checkpoints.read(tmp_path / "a.ckpt")["state_dict"]["a"].shape == (2**40,)
    with pytest.raises(CheckpointError, match="is no checkpoint of prenda"):
        checkpoints.load(tmp_path / "a.ckpt")
