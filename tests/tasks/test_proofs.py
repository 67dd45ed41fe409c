"""What a run proves: `sngan lipschitz`, `sngan distance`, and W1 in the log of a run on points."""

import contextlib
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from helpers.charts import drawn_once
from sngan import METHODS, Config, data, spectral
from sngan.cli import main
from sngan.config import ModelConfig
from sngan.engine import TrainState
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.evaluations import iter_evaluations
from sngan.spectral.operator.input_shapes import input_shapes
from sngan.tasks.audit import audit
from sngan.tasks.distance import distance
from sngan.tasks.lipschitz import lipschitz

SMALL = ModelConfig(width=0.25, latent_dim=8)


def config(out, **settings) -> Config:
    fields = {"model": SMALL, "batch_size": 16, "steps": 6, "log_every": 3}
    return Config(out=str(out), **{**fields, **settings})


@pytest.fixture(scope="module")
def operator_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proofs") / "operator"
    # the time of the proofs grows with the cube of the width
    method, model = replace(METHODS["sn-operator"], coefficient=0.9), replace(SMALL, width=0.1)
    training.train(config(folder, model=model, method=method))
    return folder


@pytest.fixture(scope="module")
def points_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proofs") / "points"
    training.train(config(folder, data="ring8", method="sn", steps=40, log_every=10))
    return folder


def test_the_saved_critic_of_sn_operator_is_certified(operator_run):
    critic = load_critic(operator_run)
    layers = {name: layer for name, layer in critic.named_modules() if hasattr(layer, "weight")}
    shapes = input_shapes(critic, (1, 8, 8), list(layers))
    assert len(layers) == 4
    for name, layer in layers.items():
        (call,) = shapes[name]
        bound = spectral.certified_norm(layer, call.input_shape).norm
        assert 0.9 * (1 - 1e-5) <= bound <= 0.9
    assert "certified: dense has an operator norm" in (operator_run / "train.log").read_text()


def test_the_saved_critic_of_sn_is_not(tmp_path):
    training.train(config(tmp_path / "run", method="sn"))
    layer = load_critic(tmp_path / "run").last
    assert spectral.certified_norm(layer, (16, 4, 4)).norm > 1.3


@pytest.fixture(scope="module")
def of_operator_run(operator_run):
    """What `sngan lipschitz` prints about a run of images, and the figures that it writes."""
    path, printed = operator_run.parent / "bounds.json", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["lipschitz", str(operator_run), "--json", str(path)]) == 0
    return printed.getvalue(), json.loads(path.read_text())


def test_lipschitz_brackets_the_critic(operator_run, of_operator_run):
    _, found = of_operator_run
    assert 0 < found["lower"] <= found["upper"] <= 0.9**4
    assert found["product"] <= 0.9**4
    assert found["reasons"] == []
    critic = load_critic(operator_run).double()
    point = torch.tensor(found["witness"], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(point[None]).sum(), point)
    assert float(slope.norm()) == pytest.approx(found["lower"], rel=1e-6)
    for name in ("layers.png", "cone.png"):
        with Image.open(operator_run / "lipschitz" / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_lipschitz_prints_a_table_and_writes_json(of_operator_run):
    printed, found = of_operator_run
    assert "stages.0.conv1" in printed
    assert "<= Lipschitz constant <=" in printed
    assert "share" in printed
    assert "stages.0.conv1" in [layer["name"] for layer in found["layers"]]


def test_lipschitz_without_the_search(operator_run, capsys):
    assert main(["lipschitz", str(operator_run), "--upper-only", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lower"] == 0.0 < found["upper"] <= 0.9**4
    assert found["notes"][0] == "no lower bound: none was asked for"
    # the pixels of images are in a box, and the bound there is no larger
    assert 0.0 < found["upper_in_box"] <= found["upper"]
    assert "pixels in [-1, 1]" in found["notes"][-1]


def test_the_log_shows_w1_between_the_critics_bound_and_the_sliced_truth(points_run):
    lines = (points_run / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 4
    for record in records:
        assert record["w1_bound"] <= record["w1"]
        assert record["lipschitz"] > 0
    # against an assignment of the same points, at the last step
    state = checkpoint.read(points_run / "checkpoints" / "last.pt")
    from sngan import config as configs
    from sngan.runs.networks import noise_from_seed

    settings = configs.load(points_run / "config.yaml")
    dataset = data.open_source("ring8")
    built = TrainState.build(settings, dataset)
    built.load_state_dict(state)
    with torch.no_grad():
        fake = built.generator.module(noise_from_seed(256, 8, seed=0)).numpy()
    costs = cdist(dataset.samples[:256].numpy().astype(float), fake.astype(float))
    rows, columns = linear_sum_assignment(costs)
    assert records[-1]["w1"] == pytest.approx(costs[rows, columns].mean(), rel=1e-6)
    assert "Wasserstein distance, proved" in _report(points_run)


def _report(folder) -> str:
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text()


def test_images_have_no_such_chart(operator_run):
    assert "Wasserstein distance, proved" not in _report(operator_run)


def test_distance_of_two_sources(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x + np.float32([3, 0, 4]))
    arguments = ["distance", str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    assert main([*arguments, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    # a shifted copy is as far as the shift
    assert found["w1"] == pytest.approx(5.0, rel=1e-6)
    assert found["lower"] <= found["w1"] * (1 + 1e-12)
    assert found["w1"] <= found["upper"] * (1 + 1e-12)
    assert found["upper"] - found["lower"] < 1e-9
    compared = found["compared"]
    assert compared["interval"][0] < found["w1"] < compared["interval"][1]
    assert compared["within_x"] < compared["between"]
    assert (compared["half"], compared["permutations"], compared["p_value"]) == (30, 199, 0.005)
    assert found["seed"] == 0
    assert found["sliced_lower"] <= found["w1"] + 1e-9
    assert (found["n"], found["m"], found["dimension"]) == (60, 60, 3)
    assert main([*arguments, "--n", "20"]) == 0
    printed = capsys.readouterr().out
    assert "exact for 20 and 20" in printed
    assert "(60)" in printed
    for said in ("bracket of these samples", "halves of 10 samples", "the data sets differ"):
        assert said in printed
    assert main([*arguments[:2], arguments[1], "--permutations", "0"]) == 0
    assert "no permutation test" in capsys.readouterr().out


def test_distance_of_images_counts_pixels_in_minus_one_to_one(tmp_path, capsys):
    images = np.zeros((4, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "black.npy", images)
    np.save(tmp_path / "white.npy", images + 255)
    found = distance(str(tmp_path / "black.npy"), str(tmp_path / "white.npy"))
    assert found.w1 == pytest.approx(2 * 8, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distance", "ring8", "digits"], "source_y: expected samples of shape (2,), as in ring8"),
        (["distance", "ring8", "gird25"], "source_y: expected digits, ring8"),
        (["distance", "ring8", "grid25", "--n", "0"], "--n: expected an integer of at least 1"),
        (["distance", "ring8", "ring8", "--permutations=-1"], "--permutations: expected an"),
        (["lipschitz", "nothing"], "run: expected a run folder with config.yaml, got nothing"),
        (["lipschitz", "nothing", "--jsn", "x"], "--jsn: expected a flag of sngan lipschitz"),
    ],
)
def test_bad_requests_are_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"sngan: error: {message}")
    assert len(captured.err.splitlines()) == 1


def test_a_run_without_a_checkpoint_is_refused(operator_run, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("config.yaml", "generator.safetensors"):
        (folder / name).write_bytes((operator_run / name).read_bytes())
    assert main(["lipschitz", str(folder)]) == 2
    assert "expected a readable checkpoint, got none in" in capsys.readouterr().err


def test_the_unbounded_critic_of_vanilla_is_bounded_too(tmp_path, capsys):
    """No constraint: a large bound, but one."""
    training.train(config(tmp_path / "run", method="vanilla", data="ring8"))
    found = lipschitz(tmp_path / "run")
    assert found.lower <= found.upper < math.inf
    assert found.upper > 10


def test_evaluate_a_run_on_its_own_data_and_on_other(points_run, tmp_path, capsys):
    assert main(["evaluate", str(points_run), "--samples", "200", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["extractor"] == "points"
    assert (found["n_generated"], found["n_real"]) == (200, 200)
    assert 0 <= found["values"]["modes"] <= found["values"]["modes_of"] == 8
    assert found["values"]["w1"] > 0
    path = tmp_path / "figures.json"
    arguments = ["evaluate", str(points_run), "--data", "grid25", "--samples", "200"]
    assert main([*arguments, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "200 generated against 200 real samples" in printed
    assert json.loads(path.read_text())["values"]["modes_of"] == 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digits"], "--data: expected samples of shape (2,), as the run's, got (1, 8"),
        (["--samples", "3"], "--samples: expected an integer of at least 10, got 3"),
        (["--samples", "0"], "--samples: expected an integer of at least 10, got 0"),
        (["--extractor", "domian"], "--extractor: expected one of"),
        (["--extractor", "domain"], "--extractor: expected pixels, domain, inception"),
    ],
)
def test_a_wrong_evaluation_is_one_line(points_run, arguments, message, capsys):
    assert main(["evaluate", str(points_run), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"sngan: error: {message}")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.slow
def test_compare_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "compare"
    arguments = ["compare", "--data", "ring8", "--methods", "sn,wgan", "--steps", "6"]
    settings = [
        "--set",
        "width=0.1",
        "batch_size=16",
        "evaluation.samples=50",
        "evaluation.every=6",
    ]
    with drawn_once():
        assert main([*arguments, "--out", str(out), *settings]) == 0
    printed = capsys.readouterr().out
    assert "wgan" in printed
    assert (out / "compare.html").is_file()
    assert len(json.loads((out / "compare.json").read_text())["runs"]) == 2
    (out / "compare.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "compare.html").is_file()
    assert main([*arguments, "--out", str(out), "--set", "width=0.2"]) == 2
    assert "model.width: 0.1" in capsys.readouterr().err


def test_compare_suggests_a_near_method(tmp_path, capsys):
    assert main(["compare", "--methods", "sm", "--out", str(tmp_path / "none")]) == 2
    assert "did you mean sn" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_lipschitz_command_audits_the_critic(points_run, capsys):
    main(["lipschitz", str(points_run), "--json", "-"])
    found = json.loads(capsys.readouterr().out)["critic"]
    assert found["bound"] <= found["upper"]
    assert found["lower"] == pytest.approx(found["upper"])
    assert found["share"] == pytest.approx(found["bound"] / found["upper"])
    assert found["n_x"] == found["n_y"] == 500
    assert (points_run / "lipschitz" / "potentials.png").read_bytes()[1:4] == b"PNG"


def test_an_audit_of_images_compares_pixels(operator_run, of_operator_run):
    text, _ = of_operator_run
    assert "critic: it proves W1 ≥" in text
    assert "% of its slope" in text
    assert audit(operator_run, math.inf) is None
    (kept,) = iter_evaluations(operator_run)
    values = kept["values"]
    assert values["w1_lower"] <= values["w1"] <= values["w1_upper"]
    assert values["critic_share"] == pytest.approx(values["critic_bound"] / values["w1"])
    page = (operator_run / "report.html").read_text()
    assert "critic_share" in page
    assert 'id="potentials"' in page
