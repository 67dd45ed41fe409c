"""The weights of a run that ``--checkpoint`` chooses: last, best, or those of a step."""

import json
import shutil

import pytest
import torch

from helpers import tiny_run
from sngan import load
from sngan.cli import main
from sngan.engine import train as training
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.records import iter_records
from sngan.tasks.lipschitz import lipschitz
from sngan.utils.tensor_files import read_tensors

STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with the checkpoints 2, 4, 5 and 6, in which an earlier evaluation was the best."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    source = tiny_run.pictures(folder.parent / "pictures.npz")
    training.train(tiny_run.config_of(folder, source, steps=STEPS))
    return folder


def averaged(path):
    saved = checkpoint.read(path)["average"].items()
    return {name.removeprefix("module."): one for name, one in saved if name.startswith("module.")}


def best_step(run):
    found = {r["step"]: r["evaluation"]["frechet"] for r in iter_records(run) if "evaluation" in r}
    return min(found, key=found.__getitem__)


@pytest.mark.parametrize("choice", [2, "2", 4, 5, 6])
def test_a_step_gives_the_networks_of_its_checkpoint(run, choice):
    step = int(choice)
    names = {2: "step-000002.pt", 4: "step-000004.pt", 5: "previous.pt", 6: "last.pt"}
    path = run / "checkpoints" / names[step]
    assert checkpoint.read(path)["step"] == step
    loaded = load(run, checkpoint=choice)
    assert tiny_run.same(dict(loaded.generator.state_dict()), averaged(path))
    critic = load_critic(run, checkpoint=choice)
    assert tiny_run.same(dict(critic.state_dict()), checkpoint.read(path)["critic"])


def test_best_is_the_step_with_the_best_metric(run):
    best = best_step(run)
    assert checkpoint.read(run / "checkpoints" / "best.pt")["step"] == best
    generator = dict(load(run, checkpoint="best").generator.state_dict())
    assert tiny_run.same(generator, averaged(run / "checkpoints" / f"step-00000{best}.pt"))
    assert tiny_run.same(generator, read_tensors(run / "generator-best.safetensors"))


def test_last_is_the_default(run):
    assert torch.equal(load(run).generate(4), load(run, checkpoint="last").generate(4))
    assert not torch.equal(load(run).generate(4), load(run, checkpoint=2).generate(4))


def test_the_commands_use_the_chosen_weights(run, tmp_path, capsys):
    figures = []
    for choice in ("last", "2"):
        out = tmp_path / f"{choice}.npz"
        shared = [str(run), "--checkpoint", choice]
        assert main(["generate", *shared, "--n", "2", "--out", str(out)]) == 0
        assert main(["evaluate", *shared, "--json", f"{out}.evaluate"]) == 0
        assert main(["lipschitz", *shared, "--upper-only", "--json", f"{out}.lipschitz"]) == 0
        figures.append([json.loads((tmp_path / f"{out.name}.{end}").read_text())
                        for end in ("evaluate", "lipschitz")])  # fmt: skip
    capsys.readouterr()
    assert figures[1][1]["upper"] == lipschitz(run, checkpoint=2, lower=False).upper
    assert all(last != early for last, early in zip(*figures, strict=True))


@pytest.mark.parametrize("choice", [3, "3", "worst", "-1", "", "9" * 30, -1, True])
def test_a_checkpoint_that_is_not_there_is_one_line(run, choice, capsys):
    with pytest.raises(ValueError, match=r"^checkpoint: expected .*last, best"):
        load(run, checkpoint=choice)
    arguments = ["generate", str(run), "--n", "1", "--out", "x.png", f"--checkpoint={choice}"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("sngan: error: --checkpoint: expected ")
    assert error.count("\n") == 1


def test_the_error_lists_what_is_there_and_how_to_keep_more(run, tmp_path):
    with pytest.raises(ValueError, match=r"one of last, best, 2, 4, 5, 6 \(keep_every keeps"):
        load(run, checkpoint=3)
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "checkpoints" / "best.pt").unlink()
    with pytest.raises(ValueError, match=r"one of last, 2, 4, 5, 6 .*evaluation.every"):
        load(copy, checkpoint="best")


def test_a_damaged_choice_is_no_other_one(run, tmp_path):
    """Another step would be a wrong answer, so there is no fallback."""
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "checkpoints" / "best.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"^checkpoint: expected a whole sngan checkpoint"):
        load(copy, checkpoint="best")
