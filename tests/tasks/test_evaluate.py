"""`sngan evaluate` of samples without a run, and of a run with metrics that need more."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from sngan import Config
from sngan.cli import main
from sngan.config import DataConfig, EvaluationConfig, ModelConfig
from sngan.data import open_source
from sngan.engine.train import train
from sngan.tasks.evaluate import evaluate


def config(out, source, **data):
    """A run of one step."""
    name = "mlp" if source == "ring8" else "cnn"
    model = ModelConfig(name=name, width=0.05)
    settings = {"model": model, "steps": 1, "batch_size": 16}
    return Config(data=DataConfig(source=source, **data), out=str(out), **settings)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def folder_of_images(path, images):
    path.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(path / f"{number:03}.png")
    return str(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Real photos of 16 × 16, and samples of 32 × 32 in grey."""
    random, base = np.random.default_rng(0), tmp_path_factory.mktemp("folders")
    real = random.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    given = random.integers(0, 256, (30, 32, 32), dtype=np.uint8)
    return folder_of_images(base / "given", given), folder_of_images(base / "real", real)


def test_a_folder_against_a_folder_needs_no_run(folders, tmp_path, capsys):
    given, real = folders
    path = tmp_path / "figures.json"
    arguments = ["evaluate", given, "--data", real, "--extractor", "pixels"]
    assert main([*arguments, "--halves", "3", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "30 generated against 40 real samples" in printed
    assert "95 % interval" in printed
    found = json.loads(path.read_text())
    assert (found["n_generated"], found["n_real"], found["halves"]) == (30, 40, 3)
    low, high = found["intervals"]["frechet"]
    assert low <= found["values"]["frechet"] <= high
    assert main([*arguments, "--metrics", "mind,authpct", "--halves", "0", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (set(found["values"]), found["intervals"]) == ({"mind", "authpct"}, {})


def test_any_source_may_stand_on_either_side(tmp_path):
    points = open_source("ring8").samples[:300].numpy()
    np.save(tmp_path / "points.npy", points)
    found = evaluate(str(tmp_path / "points.npy"), source="ring8", samples=200)
    assert (found.n_generated, found.extractor) == (200, "points")
    assert found.values["modes"] == 8
    assert found.values["w1"] < evaluate("grid25", source="ring8", samples=200).values["w1"]
    again = evaluate(str(tmp_path / "points.npy"), source="ring8", samples=200)
    assert again == found
    held_out = evaluate("swissroll", source="ring8", metrics="fld", held_out="ring8", samples=50)
    assert held_out.values["fld"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "run: expected a run folder with config.yaml, got nothing"),
        (["nothing", "--data", "ring8"], "run: expected digits, ring8"),
        (["digits", "--data", "ring8"], "run: expected samples of shape (2,), as the data's"),
        (["ring8", "--data", "nothing"], "--data: expected digits"),
        (["ring8", "--data", "ring8", "--metrics", "fidd"], "--metrics: expected one of"),
        (["ring8", "--data", "ring8", "--halves", "1"], "--halves: expected 0, or at least 2"),
        (["ring8", "--data", "ring8", "--metrics", "fld"], "--held_out: expected samples that"),
        (["ring8", "--data", "ring8", "--extractor", "no.pt2"], "--extractor: expected a file of"),
        (["ring8", "--data", "ring8", "--extractor", "no_such:f"], "--extractor: the module"),
        (["digits", "--data", "digits", "--extractor", "clip"], "--weights: expected a file of"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, message, capsys):
    assert main(["evaluate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith(f"sngan: error: {message}")
    assert "Traceback" not in captured.err


def test_fld_of_a_run_uses_the_images_that_it_kept(tmp_path):
    train(config(tmp_path / "run", "digits"))
    options = {"metrics": "fld", "samples": 60, "extractor": "pixels"}
    assert evaluate(tmp_path / "run", **options).values["fld"] > 0
    train(config(tmp_path / "none", "digits", held_out=0))
    with pytest.raises(ValueError, match="held_out: expected samples that were held out"):
        evaluate(tmp_path / "none", **options)


def test_no_code_that_a_run_names_is_run_unasked(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    train(config(run, "ring8"))
    code = "import pathlib\npathlib.Path('trace').touch()\ndef f(x):\n    return x\n"
    (tmp_path / "trap_of_a_stranger.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    for name in ("trap_of_a_stranger:f", "trap.pt2"):
        settings["evaluation"]["extractor"] = name
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
        assert main(["evaluate", str(run), "--samples", "20"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("sngan: error: --evaluation.extractor: expected consent to run code")
        assert repr(name) in said
        assert not (tmp_path / "trace").exists()
    assert main(["evaluate", str(run), "--extractor", "points", "--samples", "20"]) == 0
    assert not (tmp_path / "trace").exists()
    arguments = ["--extractor", "trap_of_a_stranger:f", "--samples", "20", "--halves", "0"]
    assert main(["evaluate", str(run), *arguments]) == 0
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize(("few", "name"), [(0, "run"), (1, "--data")])
def test_too_few_images_are_an_error_about_their_argument(folders, tmp_path, few, name, capsys):
    pair = list(folders)
    pair[few] = folder_of_images(tmp_path / "few", np.zeros((9, 16, 16, 3), np.uint8))
    assert main(["evaluate", pair[0], "--data", pair[1]]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"sngan: error: {name}: expected at least 10 samples, got 9"


def test_evaluations_of_a_training_need_images_of_the_data(tmp_path):
    few = folder_of_images(tmp_path / "few", np.zeros((9, 16, 16, 3), np.uint8))
    asked = replace(config(tmp_path / "run", few), evaluation=EvaluationConfig(every=1))
    with pytest.raises(ValueError, match=r"^data: expected at least 10 samples for evaluations, g"):
        train(asked)
