"""Networks of one's own on the command line: bounds, certificates, certified accuracy."""

import json

import pytest
import torch
from PIL import Image
from torch import nn

import sngan
from helpers.networks import Residual
from sngan.cli import main
from sngan.config import ModelConfig
from sngan.data import open_source
from sngan.runs.critic import load_critic
from sngan.tasks.networks import open_network

MODULE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

def other():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

def unbounded():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.LayerNorm(10))

def broken():
    raise KeyError("weights")

network = build()
number = 3
"""


class Mixed(nn.Module):
    """Operators whose order of arguments differs between aten and torch's functions."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_var.fill_(0.5)
        self.norm.weight.data.fill_(2.0)
        self.rest = nn.Sequential(
            *(nn.LeakyReLU(0.3), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten()),
            *(nn.Linear(12, 6), nn.ELU(0.5), Residual(nn.Sequential(nn.Linear(6, 6), nn.Tanh()))),
        )

    def forward(self, x):
        y = self.rest(self.norm(self.convolution(x)))
        return torch.cat([y[:, 1:4], 0.5 * y.mean(1, keepdim=True)], dim=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_networks_of_test.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def call(capsys, *arguments):
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err.strip()


def test_a_factory_is_bounded_saved_and_verified(folder, capsys):
    name = "own_networks_of_test:build"
    arguments = ("lipschitz", name, "--shape", "1,8,8", "--json", "-", "--certificate", "c.json")
    status, out, _ = call(capsys, *arguments)
    bounds = json.loads(out)
    assert (status, bounds["method"]) == (0, "eclipse")
    assert 0.0 < bounds["lower"] <= bounds["upper"] <= bounds["product"]
    status, out, _ = call(capsys, "verify", "c.json", name, "--json", "-")
    assert (status, json.loads(out)["lower"]) == (0, bounds["lower"])
    # an object that is a network already
    assert call(capsys, "verify", "c.json", "own_networks_of_test:network")[0] == 0
    status, _, error = call(capsys, "verify", "c.json", "own_networks_of_test:other")
    assert (status, "other weights" in error, len(error.splitlines())) == (2, True, 1)
    document = json.loads((folder / "c.json").read_text())
    document["claim"]["upper"] *= 1 - 1e-6
    (folder / "c.json").write_text(json.dumps(document))
    status, _, error = call(capsys, "verify", "c.json", name)
    assert (status, "changed" in error, len(error.splitlines())) == (1, True, 1)


def test_a_box_and_a_norm_are_certified_too(folder, capsys):
    name = "own_networks_of_test:build"
    arguments = ["lipschitz", name, "--shape", "1,8,8", "--box=0.499,0.501", "--norm", "inf"]
    status, out, _ = call(capsys, *arguments, "--json", "-", "--certificate", "c.json")
    assert (status, call(capsys, "verify", "c.json", name)[0]) == (0, 0)
    everywhere = json.loads(call(capsys, *arguments[:4], "--norm", "inf", "--json", "-")[1])
    assert json.loads(out)["upper"] < everywhere["upper"]


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), None])
def test_an_exported_network_has_the_bounds_of_its_module(batch, folder, capsys):
    module = Mixed().eval()
    example = torch.zeros(batch or 2, 1, 8, 8)
    shapes = None if batch else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    torch.export.save(program, folder / "network.pt2")
    arguments = ("lipschitz", "network.pt2", "--json", "-", "--certificate", "c.json")
    status, out, _ = call(capsys, *arguments)
    found = json.loads(out)
    expected = sngan.lipschitz_bounds(module, (1, 8, 8))
    assert status == 0
    assert found["upper"] == pytest.approx(expected.upper, rel=1e-6)
    assert found["lower"] == pytest.approx(expected.lower, rel=0.05)
    assert call(capsys, "verify", "c.json", "network.pt2")[0] == 0


def test_certify_prints_a_table(folder, capsys):
    arguments = ("certify", "own_networks_of_test:build", "digits", "--n", "40")
    status, out, _ = call(capsys, *arguments, "--radii", "0,36/255", "--json", "-")
    found = json.loads(out)
    assert status == 0
    assert found["radii"] == pytest.approx([0.0, 36 / 255])
    for certified, attacked in zip(found["certified"], found["attacked"], strict=True):
        assert certified <= attacked <= found["clean"]
    status, out, _ = call(capsys, *arguments, "--radii", "0.01", "--range=-1,1")
    assert (status, out.split()[:4]) == (0, ["radius", "certified", "attacked", "clean"])


def classes_of_photos(root, *, size):
    """Two classes of random images of one size, eight each."""
    for number, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for index in range(8):
            level = torch.randint(256, (size[1], size[0], 3), dtype=torch.uint8) // (2 - number)
            Image.fromarray(level.numpy()).save(root / name / f"{index}.png")
    return str(root)


def test_certify_reads_photos_as_the_flags_say(folder, tmp_path, capsys):
    photos = classes_of_photos(tmp_path / "photos", size=(20, 12))
    arguments = ("certify", "own_networks_of_test:build", photos, "--radii", "0.1")
    fit = ("--resolution", "8", "--channels", "1", "--attack-steps", "0")
    assert main([*arguments, *fit]) == 0
    assert "16 samples" in capsys.readouterr().out
    assert main(list(arguments)) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("sngan: error: source: expected")
    assert main([*arguments, *fit, "--split", "val"]) == 2
    assert "sngan: error: --split: expected train" in capsys.readouterr().err


def test_certify_reads_photos_in_the_form_of_a_run(tmp_path, capsys):
    """A critic's sign separates two classes; its images are 8×8, grey and in [−1, 1]."""
    config = sngan.Config(
        data="digits",
        out=str(tmp_path / "run"),
        steps=1,
        batch_size=4,
        model=ModelConfig(width=0.1),
    )
    run = sngan.train(config)
    photos = classes_of_photos(tmp_path / "photos", size=(20, 12))
    arguments = ("certify", str(run.folder), photos, "--radii", "0.1", "--attack-steps", "0")
    capsys.readouterr()
    assert main([*arguments, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    read = open_source(photos, resolution=8, channels=1)
    with torch.no_grad():
        scores = load_critic(run.folder)(read.values(torch.arange(16)))
    assert found["clean"] == pytest.approx(((scores > 0) == (read.labels == 1)).float().mean())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lipschitz", "own_networks_of_test:build"], "--shape: expected"),
        (["lipschitz", "own_networks_of_test:build", "--shape", "8,x"], "--shape: expected"),
        (["lipschitz", "own_networks_of_test:build", "--shape", "1,9,9"], "input_shape"),
        (["lipschitz", "own_networks_of_test:build", "--shape", "1,8,8", "--box", "1"], "--box"),
        (
            ["lipschitz", "own_networks_of_test:build", "--shape", "3", "--checkpoint", "best"],
            "--checkpoint: expected none for a network",
        ),
        (
            ["verify", "c.json", "own_networks_of_test:build", "--checkpoint", "best"],
            "--checkpoint: expected none for a network",
        ),
        (["verify", "c.json", "hf:somebody/model"], "run: expected a run folder"),
        (["lipschitz", "no_run_here", "--box", "0,1"], "--box: expected none for a run"),
        (["lipschitz", "own_networks_of_test:none", "--shape", "3"], "has no 'none'"),
        (["lipschitz", "own_networks_of_test:broken", "--shape", "3"], "KeyError"),
        (["lipschitz", "own_networks_of_test:number", "--shape", "3"], "int"),
        (["lipschitz", "no_such_module_here:build", "--shape", "3"], "cannot be imported"),
        (["lipschitz", "none.pt2"], "torch.export"),
        (
            [
                *("lipschitz", "own_networks_of_test:unbounded", "--shape", "1,8,8"),
                *("--certificate", "c.json", "--upper-only"),
            ],
            "expected a finite bound",
        ),
        (["verify", "none.json", "own_networks_of_test:build"], "certificate: expected"),
        (["certify", "own_networks_of_test:build", "digits"], "--radii: expected"),
        (["certify", "own_networks_of_test:build", "digits", "--radii", "a"], "--radii: expected"),
        (["certify", "own_networks_of_test:build", "digits", "--radii=-1"], "--radii: expected"),
        (
            ["certify", "own_networks_of_test:build", "digits", "--radii", "1/0"],
            "--radii: expected",
        ),
        (
            ["certify", "own_networks_of_test:build", "digits", "--radii", "1", "--range", "1,0"],
            "--range: expected",
        ),
        (["certify", "own_networks_of_test:build", "ring8", "--radii", "1"], "expected samples"),
        (["certify", "own_networks_of_test:build", "swissroll", "--radii", "1"], "labels"),
        (
            ["certify", "own_networks_of_test:unbounded", "digits", "--radii", "1", "--n", "8"],
            "expected a finite",
        ),
    ],
)
def test_bad_requests_are_one_line(arguments, said, folder, capsys):
    status, _, error = call(capsys, *arguments)
    assert (status, len(error.splitlines())) == (2, 1), error
    assert said in error


def test_a_name_that_nobody_wrote_on_the_command_line_is_not_imported(folder):
    with pytest.raises(ValueError, match="consent"):
        open_network("own_networks_of_test:build")
