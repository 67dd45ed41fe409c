"""The formulas of docs/scaling.md: bytes are those sent, operations those done, the fit is one."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import prediction, scaling, traffic
from helpers.ranks import on_ranks
from sngan import METHODS, Config
from sngan import data as sources
from sngan.config import DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step

# a critic of 2.4 MB has two buckets
CASES = {
    "cnn": (ModelConfig(name="cnn", width=0.5, latent_dim=8), 1),
    "resnet": (ModelConfig(name="resnet", width=0.5, latent_dim=8), 2),
}


def config_of(case: str) -> Config:
    model, n_critic = CASES[case]
    method = replace(METHODS["sn"], n_critic=n_critic)
    return Config(
        data=DataConfig(source="digits"),
        out="unused",
        model=replace(model, sample_shape=(1, 8, 8)),
        method=method,
        batch_size=4,
    )


def count(fabric, folder: Path) -> None:
    torch.set_num_threads(1)
    found = {}
    for case in CASES:
        config = config_of(case)
        dataset = sources.open_source(config.data.source)
        state = TrainState.build(config, dataset, fabric)
        with traffic.counted([state.generator, state.critic]) as messages:
            # DDP rebuilds its buckets after the first
            train_step(config, state)
            for sizes in messages.values():
                sizes.clear()
            train_step(config, state)
        found[case] = messages
    torch.save(found, folder / f"rank{fabric.global_rank}.pt")


@pytest.fixture(scope="module")
def sent(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("sent")
    on_ranks(PerformanceConfig(device="cpu", devices=2), count, folder)
    ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    return ranks[0]


@pytest.mark.parametrize("case", CASES)
def test_the_bytes_of_an_iteration_are_those_of_the_formula(sent, case):
    expected = traffic.by_formula(config_of(case))
    assert sum(sent[case]["gradients"]) == expected.gradient_bytes
    assert len(sent[case]["gradients"]) == expected.gradient_messages
    assert sum(sent[case]["others"]) == expected.norm_bytes
    assert len(sent[case]["others"]) == expected.norm_messages


def test_the_operations_of_an_iteration_are_those_that_torch_counts():
    config = replace(config_of("resnet"), method=replace(METHODS["vanilla"], n_critic=2))
    state = TrainState.build(config, sources.open_source("digits"))
    with FlopCounterMode(display=False) as counter:
        train_step(config, state)
    assert counter.get_total_flops() == config.batch_size * prediction.work(config).operations


def test_a_prediction_adds_its_parts_and_hides_no_more_than_the_gradients():
    config = config_of("cnn")
    for gpus in (1, 4, 64):
        found = prediction.predict(config, gpus, 64, prediction.Machine())
        parts = [found[key] for key in ("compute", "gradients", "batch norm", "random", "flag")]
        assert found["high"] == pytest.approx(sum(parts))
        assert found["high"] - found["gradients"] <= found["low"] <= found["high"]
    alone = prediction.predict(config, 1, 64, prediction.Machine())
    assert (alone["gradients"], alone["batch norm"], alone["flag"]) == (0, 0, 0)


def test_the_fit_finds_the_figures_that_made_its_points():
    compute, messages = {"cnn": [2e-3, 1e-4]}, [5e-5, 2e-9]
    truth = {"compute": dict.fromkeys(scaling.NETWORKS, compute["cnn"]), "within": messages}
    points = []
    for network in scaling.NETWORKS:
        for batch in scaling.BATCHES:
            for processes in (1, 2):
                point = scaling.Point(network, batch, processes, 1.0)
                seconds = scaling.modelled(truth, point, "within")
                points.append(asdict(replace(point, seconds=seconds)))
    sizes = [{"bytes": size, "seconds": 1e-4 + size / 1e9} for size in scaling.MESSAGES]
    fitted = scaling.fit({"points": points, "messages": sizes})
    assert fitted["compute"]["cnn"] == pytest.approx(compute["cnn"], rel=1e-6)
    assert fitted["within"] == pytest.approx(messages, rel=1e-6)
    assert fitted["alone"] == pytest.approx([1e-4, 1e-9], rel=1e-6)


def test_a_ring_of_two_sends_what_each_puts_in():
    assert traffic.ring(2) == 1
    assert traffic.ring(512) == pytest.approx(2, rel=0.01)
    assert traffic.ring(1) == 0
