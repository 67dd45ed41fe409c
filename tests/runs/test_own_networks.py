"""A run of networks of one's own: its best step, and its weights as the start of another run."""

import pytest
import torch

from helpers.own_parts import PointCritic, PointGenerator
from sngan import Config, load, train
from sngan.runs import checkpoint

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
