from __future__ import annotations

import pytest

import predict
from tests.prediction.bundles import photo, write_bundle


def test_shares_are_of_the_ideal_and_of_the_work():
    clock = {"pipeline": [0.006], "decoding": [0.001], "preparing": [0.004], "network": [0.006], "torch": [0.05]}
    core = clock | {"pipeline": [0.011], "preparing": [0.004], "network": [0.006]}
    found = predict.summary(clock, core, threads=2)
    assert found["ideal"] == pytest.approx(200)
    assert found["share"] == pytest.approx(1 / 0.006 / 200)
    assert found["share of work"] == pytest.approx(10 / 11)
    assert found["network"] == pytest.approx(2 / 0.006)
    assert found["torch"] == pytest.approx(20)


@pytest.mark.parametrize(("least", "code"), [("0", 0), ("1000", 1)])
def test_a_bundle_and_photos_are_measured(tmp_path, capsys, monkeypatch, least, code):
    monkeypatch.setattr(predict, "torch_runner", lambda setup: predict.run_network)
    photo(tmp_path / "photos/a.jpg")
    bundle = write_bundle(tmp_path / "bundle")
    arguments = ["--bundle", bundle, "--photos", tmp_path / "photos", "--rounds", 1, "--threads", 1, "--least", least]
    assert predict.main(list(map(str, arguments))) == code
    out = capsys.readouterr().out
    assert "| pipeline  |" in out
    assert "1 photos, mobilenet_v2, 1 threads. The pipeline reaches" in out


@pytest.mark.slow
def test_generated_photos_go_through_an_untrained_network_and_torch(tmp_path, capsys):
    small = [
        "--network",
        "mobilenet_v3_small",
        "--size",
        "32",
        "--count",
        "2",
        "--photo-size",
        "40x60",
        "--rounds",
        "1",
    ]
    assert predict.main([*small, "--threads", "1"]) == 0
    assert "2 photos, mobilenet_v3_small" in capsys.readouterr().out
