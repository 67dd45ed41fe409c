"""Checkpoints of sharded weights: written by each rank, read by any number of processes."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.sharded import CNN, DIGITS, NETWORKS, RESNET, TWO, build, config_of
from helpers.training import assert_identical, final_state, metrics, tiny
from sngan import METHODS, Config
from sngan.config import EvaluationConfig, PerformanceConfig
from sngan.distributed.sharded_files import read_sharded
from sngan.engine import train as training
from sngan.engine import train_step
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.run import load
from sngan.spectral.operator.input_shapes import input_shapes
from sngan.spectral.operator.norm import certified_norm
from sngan.utils.kernels import find_kernels


def test_a_run_goes_on_from_one_process_to_two_ranks_to_one(fsdp_folder):
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    try:
        config = config_of("sn")
        whole_run, parts = build(config), build(config)
        for _ in range(3):
            train_step(config, whole_run)
        parts.load_state_dict(checkpoint.read(fsdp_folder / "double" / "last.pt"))
        train_step(config, parts)
    finally:
        torch.set_default_dtype(torch.float32)
    one, other = whole_run.state_dict(), parts.state_dict()
    for part in ("rng", "sampler", "step"):
        assert_identical(one[part], other[part], part)
    for part in (*NETWORKS, "spectral_norm", "generator_optimizer", "critic_optimizer"):
        torch.testing.assert_close(dict(other[part]), dict(one[part]), rtol=1e-6, atol=1e-9)


def test_the_folder_holds_the_shards_of_each_checkpoint(fsdp_folder):
    files = sorted(path.name for path in (fsdp_folder / "checkpoints").iterdir())
    shards_of = [name.rsplit("-", 1)[0] for name in files if name.endswith(".shards")]
    assert [name for name in files if name.endswith(".pt")] == [
        "last.pt",
        "previous.pt",
        "step-000002.pt",
    ]
    assert shards_of == ["step-000001", "step-000002"]
    for name in files:
        if name.endswith(".shards"):
            parts = {path.name for path in (fsdp_folder / "checkpoints" / name).iterdir()}
            assert parts == {"index.json", "part-00000.bin", "part-00001.bin"}


def test_one_process_reads_whole_tensors(fsdp_folder):
    expected = torch.load(fsdp_folder / "checkpoints.0.pt")
    read = checkpoint.read(fsdp_folder / "checkpoints" / "last.pt")
    del read["format"]
    assert_identical(read, expected)
    assert_identical(torch.load(fsdp_folder / "checkpoints.1.pt"), expected)


def test_one_process_reads_what_earlier_versions_wrote(fsdp_folder):
    expected = torch.load(fsdp_folder / "checkpoints.0.pt")
    read = checkpoint.read(fsdp_folder / "old" / "last.pt")
    del read["format"]
    assert_identical(read, expected)


@pytest.fixture
def copied(fsdp_folder, tmp_path) -> Path:
    return Path(shutil.copytree(fsdp_folder / "checkpoints", tmp_path / "checkpoints"))


def shards_of(path: Path) -> Path:
    return path.with_name(torch.load(path)["shards"]["folder"])


def no_folder(at: Path) -> None:
    shutil.rmtree(at)


def no_part(at: Path) -> None:
    (at / "part-00001.bin").unlink()


def cut_part(at: Path) -> None:
    part = at / "part-00001.bin"
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def no_index(at: Path) -> None:
    (at / "index.json").unlink()


def cut_index(at: Path) -> None:
    index = at / "index.json"
    index.write_bytes(index.read_bytes()[:100])


class Evil:
    def __reduce__(self):
        return (print, ("this code must never run",))


def evil_index(at: Path) -> None:
    (at / "index.json").unlink()
    (at / ".metadata").write_bytes(pickle.dumps(Evil()))


def foreign_index(at: Path) -> None:
    (at / "index.json").write_text('{"weights": 1}')


DAMAGES = [
    no_folder,
    no_part,
    cut_part,
    no_index,
    cut_index,
    evil_index,
    foreign_index,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_passed_over(copied, damage, capsys):
    damage(shards_of(copied / "last.pt"))
    with pytest.raises(
        ValueError, match=r"^checkpoint: expected a whole sngan checkpoint, got "
    ) as e:
        checkpoint.read(copied / "last.pt")
    assert len(str(e.value).splitlines()) == 1
    newest, problems = checkpoint.read_newest(copied)
    assert newest["step"] == 1
    assert len(problems) == 1
    assert "must never run" not in capsys.readouterr().out


def test_shards_that_no_file_names_are_deleted(copied):
    named = {shards_of(path) for path in copied.glob("*.pt")}
    (copied / "step-000003-0c0ff0.shards").mkdir()
    assert set(copied.glob("*.shards")) > named
    # as a run with whole weights goes on
    checkpoint.rotate({"step": 3}, copied)
    kept = {shards_of(copied / name) for name in ("previous.pt", "step-000002.pt")}
    assert set(copied.glob("*.shards")) == kept


def test_only_the_run_s_own_shards_are_deleted(copied):
    used = {shards_of(path) for path in copied.glob("*.pt")}
    listed, unlisted = copied / "step-000003-0c0ff0.shards", copied / "step-000004-0c0ff1.shards"
    shared = copied / "step-000005-0c0ff2.shards"
    example = shards_of(copied / "last.pt")
    for folder in (listed, unlisted, shared):
        shutil.copytree(example, folder)
    (shared / "notes.txt").write_text("mine")
    files = ManagedRunFolder(copied.parent).files
    files.adopt(f"checkpoints/{folder.name}" for folder in (*used, listed, shared))
    checkpoint.rotate({"step": 3}, copied, files=files)
    assert not listed.exists()
    assert {path.name for path in unlisted.iterdir()} == {path.name for path in example.iterdir()}
    assert [path.name for path in shared.iterdir()] == ["notes.txt"]


def test_nothing_is_deleted_while_a_file_cannot_be_read(copied):
    before = set(copied.glob("*.shards"))
    (copied / "previous.pt").write_bytes(b"")
    checkpoint.write({"step": 3}, copied / "best.pt")
    assert set(copied.glob("*.shards")) == before


def test_tensors_of_an_index_need_no_code(copied):
    tensors = read_sharded(shards_of(copied / "last.pt"))
    state = checkpoint.read(copied / "last.pt")
    assert torch.equal(tensors["critic/dense.weight"], state["critic"]["dense.weight"])
    assert {"average/module.dense.weight", "critic_optimizer/state/0/exp_avg"} <= set(tensors)


def on(performance: PerformanceConfig, config: Config) -> Config:
    return replace(config, performance=performance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [METHODS["sn"], replace(METHODS["wgan-gp"], n_critic=2)], ids=lambda one: one.name
)
def test_resume_on_other_ranks_and_strategies(tmp_path, method):
    """Other orders of summing leave rounding only: losses of these 50 steps differ by some 1e-7.

    So do those of one process whose weights are changed by one unit in the last place at step 10.
    With the seeds 0 and 1 an entry whose gradient is nearly zero turns on that rounding, since Adam
    divides by its size: in both experiments the losses then differ by 5e-4, or by 1e-6.
    """
    settings = {"data": DIGITS, "model": CNN, "ema_start": 5, "ema_decay": 0.9}
    # the seed is one for these numbers of critic steps
    settings |= {"method": method, "seed": 2}
    evaluated = {"evaluation": EvaluationConfig(every=10, samples=40, extractor="pixels")}
    one = PerformanceConfig(device="cpu")
    single = replace(TWO, devices=1)
    training.train(on(one, tiny(tmp_path / "whole", steps=50, **settings, **evaluated)))
    plan = [TWO, one, TWO, replace(TWO, strategy="ddp"), single]
    for index, performance in enumerate(plan):
        parts = tiny(tmp_path / "parts", steps=10 * (index + 1), **settings, **evaluated)
        run = training.train(on(performance, parts), resume=index > 0)
    one, other = (final_state(tmp_path / name) for name in ("whole", "parts"))
    assert (other["step"], other["sampler"]) == (one["step"], one["sampler"])
    assert torch.equal(other["rng"]["torch"], one["rng"]["torch"])
    for network in NETWORKS:
        for name, tensor in one[network].items():
            difference = torch.linalg.vector_norm((other[network][name] - tensor).double())
            assert difference <= 1e-3 * torch.linalg.vector_norm(tensor.double()) + 1e-6, name
    records = metrics(tmp_path / "parts")
    losses = [r["critic_loss"] for r in records if "critic_loss" in r]
    expected = [r["critic_loss"] for r in metrics(tmp_path / "whole") if "critic_loss" in r]
    # differences of scores, which may be near zero
    assert losses == pytest.approx(expected, rel=0, abs=2e-5)
    assert [r["step"] for r in records if "evaluation" in r] == [10, 20, 30, 40, 50]
    again = load(tmp_path / "whole")
    torch.testing.assert_close(run.generate(8), again.generate(8), rtol=0, atol=1e-4)
    names = [name for name, _ in load_critic(run.folder).named_parameters()]
    assert names == [name for name, _ in load_critic(again.folder).named_parameters()]


@pytest.mark.slow
def test_the_last_critic_is_certified(tmp_path):
    config = tiny(tmp_path / "run", steps=10, method="sn-operator", model=RESNET, data=DIGITS)
    run = training.train(on(TWO, config))
    critic = load_critic(run.folder)
    names = [name for kernel in find_kernels(critic) for name in kernel.names]
    for name, calls in input_shapes(critic, (1, 8, 8), names).items():
        bounds = [certified_norm(critic.get_submodule(name), c.input_shape).norm for c in calls]
        assert 0.9 < max(bounds) <= 1, name
