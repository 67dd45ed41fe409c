"""A run of networks of one's own: its best step, and its weights as the start of another run."""

import json

import pytest
import torch

from helpers.own_parts import PointCritic, PointGenerator
from sngan import Config, lipschitz_bounds, load, train
from sngan.cli import main
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic

POINTS = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))


def settings(out, **changes):
    given = {"steps": 4, "batch_size": 16, "log_every": 2, "save_every": 2, "n_critic": 1}
    return Config(out=str(out), **{**given, **changes})


def pair():
    return {"generator": PointGenerator(), "critic": PointCritic()}


def averaged(path):
    saved = checkpoint.read(path)["average"].items()
    return {name.removeprefix("module."): one for name, one in saved if name.startswith("module.")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("own") / "run"
    torch.manual_seed(1)
    return train(settings(out, every=2, samples=40), **pair(), data=POINTS)


def test_the_best_step_is_read_into_the_module(run):
    best = load(run.folder, checkpoint="best", generator=PointGenerator())
    expected = averaged(run.folder / "checkpoints" / "best.pt")
    found = best.generator.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize("start", ["run", "file"])
def test_another_run_begins_with_its_weights(run, start, tmp_path):
    source = run.folder if start == "run" else run.folder / "generator.safetensors"
    changes = {"init": str(source), "lr": 1e-9, "steps": 1, "save_every": 1}
    torch.manual_seed(2)
    new = train(settings(tmp_path / "new", **changes), **pair(), data=POINTS)
    begun = averaged(new.folder / "checkpoints" / "previous.pt")
    for name, tensor in run.generator.state_dict().items():
        torch.testing.assert_close(begun[name], tensor, rtol=0, atol=0)
    critic = checkpoint.read(new.folder / "checkpoints" / "previous.pt")["critic"]
    trained = checkpoint.read(run.folder / "checkpoints" / "last.pt")["critic"]
    # spectral normalization rounds the weights that it divides again
    is_near = all(torch.allclose(critic[name], trained[name], rtol=1e-4) for name in critic)
    assert is_near == (start == "run")


def test_networks_of_sngan_do_not_fit_it(run, tmp_path):
    with pytest.raises(ValueError, match=r"^init: expected a generator with layers of the names"):
        train(settings(tmp_path / "new", init=str(run.folder), width=0.1), data=POINTS)


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A module that has the networks of the run by name, not trained."""
    text = "from helpers.own_parts import PointCritic as critic, PointGenerator as generator\n"
    (tmp_path / "named_networks_of_test.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return ["--critic", "named_networks_of_test:critic"]


@pytest.mark.parametrize("has_generator", [False, True])
def test_lipschitz_of_a_run_on_modules(run, named, has_generator, capsys):
    own = ["--generator", "named_networks_of_test:generator"] if has_generator else []
    assert main(["lipschitz", str(run.folder), *named, *own, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    trained = load_critic(run.folder, critic=PointCritic())
    assert found["upper"] == lipschitz_bounds(trained, (2,), lower=False).upper
    assert 0.0 < found["lower"] <= found["upper"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "critic: expected the module that the run was trained with"),
        (["--critic", "named_networks_of_test:none"], "critic: "),
        (["--critic", "math:pi"], "critic: expected a torch.nn.Module or a function"),
        (["--critic", "named_networks_of_test:generator"], "net.2.weight is 1×16 in the file"),
    ],
)
def test_lipschitz_without_the_right_module_is_a_line(run, named, given, said, capsys):
    assert main(["lipschitz", str(run.folder), *given]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
