"""The command line: flags, files, exit statuses, one-line errors."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import sngan
from sngan.cli import main

COMMANDS = [
    *("train", "generate", "report", "evaluate", "compare", "lipschitz", "distance", "data"),
    *("certify", "verify"),
]
SMALL = ["--set", "width=0.25", "latent_dim=8", "batch_size=8", "n_critic=1", "log_every=2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "--out", str(folder), "--steps", "4", *SMALL]) == 0
    return folder


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "points"
    arguments = ["--data", "ring8", "--method", "wgan", "--seed", "3", "--steps", "4"]
    assert main(["train", "--out", str(folder), *arguments, *SMALL]) == 0
    return folder


def pixels(path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def error_line(capsys) -> str:
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("sngan: error: ")
    return lines[0].removeprefix("sngan: error: ")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_teaches(arguments, capsys):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert f"sngan {command}" in printed or f"  {command} " in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"usage: sngan {command}" in printed
    if command == "train":
        assert "--method.n_critic" in printed
        assert "sample_shape" not in printed


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sngan {sngan.__version__}\n"


def test_a_run_folder_holds_what_the_design_promises(run):
    names = {path.name for path in run.iterdir()}
    promised = {"config.yaml", "metrics.jsonl", "checkpoints", "generator.safetensors", "samples"}
    assert promised | {"report.html"} <= names
    assert any(name.startswith("events") for name in names)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [2, 4]


def test_settings_reach_the_run(run, points):
    settings = sngan.load(points).config
    assert settings.seed == 3
    assert settings.data.source == "ring8"
    assert settings.method.name == "wgan"
    assert settings.method.clip == sngan.METHODS["wgan"].clip.points
    assert settings.method.n_critic == 1
    assert settings.model.name == "mlp"
    assert sngan.load(run).config.model.sample_shape == (1, 8, 8)


def test_yaml_of_a_run_starts_the_same_run(run, tmp_path):
    again = tmp_path / "again"
    assert main(["train", "--config", str(run / "config.yaml"), "--out", str(again)]) == 0
    for name in ("generator.safetensors", "samples/step-000004.png"):
        assert (run / name).read_bytes() == (again / name).read_bytes()


def test_resume_needs_no_other_flags(tmp_path):
    out = tmp_path / "run"
    assert main(["train", "--out", str(out), "--steps", "2", *SMALL]) == 0
    assert main(["train", "--out", str(out), "--resume", "--steps", "4"]) == 0
    assert sngan.load(out).config.steps == 4
    assert sngan.load(out).config.batch_size == 8


def test_print_config_is_yaml_of_the_settings(capsys):
    import yaml

    assert main(["train", "--data", "ring8", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["source"] == "ring8"
    assert printed["sample_every"] is printed["batch_size"] is None
    assert printed["seed"] == 0


def test_help_tells_the_defaults_for_images_and_for_points(capsys):
    assert main(["train", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    defaults = sngan.Config()
    for name, value in (
        ("batch_size", defaults.batch_size),
        ("steps", defaults.steps),
        ("schedule", defaults.schedule),
        ("model.latent_dim", defaults.model.latent_dim),
    ):
        # the usage at the start has brackets
        shown = rf"--{name} \S+ [^\[\]]*\(default: {value}; points: {value.points}\)"
        assert re.search(shown, said), name
    assert "default: null" not in said


def test_generate_writes_a_folder_the_same_for_the_same_seed(run, tmp_path):
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        out = tmp_path / name
        assert main(["generate", str(run), "--n", "7", "--out", str(out), "--seed", seed]) == 0
        assert sorted(p.name for p in out.iterdir()) == [f"{i:05d}.png" for i in range(7)]
    pictures = {name: [pixels(p) for p in sorted((tmp_path / name).iterdir())] for name in "abc"}
    assert pictures["a"][0].shape == (8, 8)
    np.testing.assert_array_equal(pictures["a"], pictures["b"])
    assert not np.array_equal(pictures["a"], pictures["c"])
    assert not np.array_equal(pictures["a"][0], pictures["a"][1])


def test_generate_writes_an_npz_that_agrees_with_python(run, tmp_path):
    out = tmp_path / "samples.npz"
    assert main(["generate", str(run), "--n", "300", "--out", str(out)]) == 0
    saved = np.load(out)["samples"]
    assert saved.shape == (300, 8, 8, 1)
    assert saved.dtype == np.uint8
    expected = sngan.load(run).generate(300, seed=0)
    assert expected.shape == (300, 1, 8, 8)
    assert expected.abs().max() <= 1
    difference = torch.from_numpy(saved).permute(0, 3, 1, 2).float() / 127.5 - 1 - expected
    assert difference.abs().max() < 0.01


@pytest.mark.usefixtures("real_pictures")
def test_generate_writes_one_grid(run, points, tmp_path):
    for folder in (run, points):
        out = tmp_path / f"{folder.name}.png"
        assert main(["generate", str(folder), "--n", "9", "--out", str(out)]) == 0
        assert min(pixels(out).shape[:2]) >= 200


def test_generate_writes_points_as_csv(points, tmp_path):
    assert main(["generate", str(points), "--n", "600", "--out", str(tmp_path / "p")]) == 0
    table = np.loadtxt(tmp_path / "p" / "points.csv", delimiter=",")
    assert table.shape == (600, 2)
    np.testing.assert_allclose(table, sngan.load(points).generate(600).numpy(), atol=1e-5)


def test_generate_needs_no_data(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for index in range(4):
        Image.new("RGB", (16, 16), (index * 60, 0, 255)).save(images / f"{index}.png")
    out = tmp_path / "run"
    assert main(["train", "--data", str(images), "--out", str(out), "--steps", "1", *SMALL]) == 0
    for path in images.iterdir():
        path.unlink()
    assert main(["generate", str(out), "--n", "2", "--out", str(tmp_path / "x.npz")]) == 0
    assert np.load(tmp_path / "x.npz")["samples"].shape == (2, 16, 16, 3)


def test_skipped_files_are_counted_named_and_logged(tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for index in range(4):
        Image.new("RGB", (16, 16), (index * 60, 0, 255)).save(images / f"{index}.png")
    (images / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "run"
    assert main(["train", "--data", str(images), "--out", str(out), "--steps", "1", *SMALL]) == 0
    assert (out / "skipped.txt").read_text() == "broken.png: no image that Pillow can read\n"
    assert "skipped broken.png" in (out / "train.log").read_text()
    assert "Files left out (1)" in (out / "report.html").read_text()


def test_nothing_is_overwritten_unasked(run, tmp_path, capsys):
    out = tmp_path / "grid.png"
    out.write_text("precious")
    assert main(["generate", str(run), "--out", str(out)]) == 2
    assert "--out: expected a new file or an empty folder" in error_line(capsys)
    assert out.read_text() == "precious"
    assert main(["generate", str(run), "--out", str(out), "--overwrite"]) == 0
    assert pixels(out).ndim == 2


def test_report_is_written_again(run, capsys):
    (run / "report.html").unlink()
    assert main(["report", str(run)]) == 0
    assert "digits" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "COMMAND: expected one of .*train.*, got 'trian'"),
        (["train", "--stepz", "4"], r"--stepz: expected a flag .* \(did you mean --steps"),
        (["train", "--set", "stepz=4"], r"--stepz: expected a flag .* \(did you mean --steps"),
        (["train", "--steps", "abc"], "--steps: expected an integer, got 'abc'"),
        (["train", "--steps", "-3"], "--steps: expected an integer of at least 1, got -3"),
        (["train", "--steps"], "--steps: expected"),
        (["train", "--bogus"], r"--bogus: .* \(did you mean --hours\?\)$"),
        (["train", "--steps"], "--steps: expected generator steps, got none$"),
        (["train", "--method", "sm"], r"--method: expected one of .*got 'sm' \(did you mean sn"),
        (["train", "--model", "resnit"], "--model: expected .*did you mean resnet"),
        (["train", "--lr", "-1"], "--method.lr: expected a finite number above 0, got -1"),
        (["train", "--betas", "x"], "--method.betas: expected two numbers"),
        (["train", "--cache", "zz"], "--data.cache: expected one of auto, .*, got 'zz'"),
        (["train", "--flip", "maybe"], "--data.flip: expected true or false, got 'maybe'"),
        (["train", "--set", "steps"], "--set: expected key=value, got 'steps'"),
        (["train", "--config", "/nowhere.yaml"], "--config: .*nowhere.yaml"),
        (["train", "--data", "/no/such/folder"], "--data: expected .*no/such/folder"),
        (["train", "--data", "didgits"], "--data: expected .*didgits"),
        (["train", "--model", "mlp"], "expected cnn, resnet or convnext for images .*, got 'mlp'"),
        (["generate"], "run|out"),
        (["generate", "/no/run", "--out", "x"], "run: expected a run folder"),
        (["report", "/no/run"], "run.*: expected"),
        (["report"], "run"),
    ],
)
def test_wrong_requests_exit_2_with_one_line(arguments, message, capsys, tmp_path):
    out = tmp_path / "run"
    if arguments[0] == "train":
        arguments = [*arguments, "--out", str(out)]
    assert main(arguments) == 2
    line = error_line(capsys)
    import re

    assert re.search(message, line), line
    assert not out.exists()


def test_wrong_request_of_generate_names_the_flag(run, capsys, tmp_path):
    out = str(tmp_path / "x.png")
    for arguments, message in (
        (["--n", "0"], "--n: expected an integer of at least 1, got 0"),
        (["--n", "many"], "--n: expected an integer, got 'many'"),
        (["--seed", "-1"], "--seed: expected an integer of at least 0"),
        (["--label", "3"], "--label: expected none"),
    ):
        assert main(["generate", str(run), "--out", out, *arguments]) == 2
        assert message in error_line(capsys)


def cut_weights(run):
    path = run / "generator.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def no_weights(run):
    (run / "generator.safetensors").unlink()


@pytest.mark.parametrize("damage", [cut_weights, no_weights])
def test_damaged_weights_come_from_the_checkpoint(run, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    damage(copy)
    for folder, name in ((run, "whole.png"), (copy, "copy.png")):
        assert main(["generate", str(folder), "--n", "4", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "copy.png").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        cut_weights,
        no_weights,
        lambda run: (run / "config.yaml").write_text("steps: [1"),
        lambda run: (run / "config.yaml").write_text("stepz: 4"),
    ],
)
def test_damaged_runs_without_a_checkpoint_are_refused(run, tmp_path, capsys, damage):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints")
    damage(copy)
    assert main(["generate", str(copy), "--out", str(tmp_path / "x.png")]) == 2
    assert "expected" in error_line(capsys)


def test_a_failed_training_exits_1_and_says_where_the_log_is(tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--method", "vanilla", "--set", "lr=1e30", "optimizer=sgd", *SMALL[1:]]
    assert main(["train", "--out", str(out), "--steps", "50", *flags]) == 1
    line = error_line(capsys)
    assert "was not finite at step" in line
    assert str(out / "checkpoints" / "last.pt") in line
    assert (out / "report.html").exists()
    assert "not finite" in (out / "train.log").read_text()
