"""Replicas on two ranks stay equal bit for bit, for any seeds and either order of wrapping."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from helpers.critics import top_singular_value
from sngan import SpectralNorm

CASES = [
    "network shared, then normalized",
    "normalized, then shared",
    "loaded, then shared",
    "sharded, then normalized",
]


def make(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1))


def train(network, forward, optimizer, steps: int = 50) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        forward(torch.randn(8, 5)).square().mean().backward()
        optimizer.step()


def run_case(case: str, rank: int) -> dict:
    from torch.distributed.fsdp import fully_shard

    network = make(rank)
    forward = network
    if case.startswith("network shared"):
        forward = DistributedDataParallel(network)
    if case.startswith("sharded"):
        for layer in network[::2]:
            fully_shard(layer)
        fully_shard(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    torch.manual_seed(10 + rank)
    sn = SpectralNorm(network, optimizer)
    if case.startswith("loaded"):
        # DDP writes the weights again, after a state was loaded for them
        other = make(7)
        other_optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
        other_sn = SpectralNorm(other, other_optimizer)
        with torch.random.fork_rng():
            torch.manual_seed(8)
            train(other, other, other_optimizer, 5)
        network.load_state_dict(other.state_dict())
        optimizer.load_state_dict(other_optimizer.state_dict())
        scales = other_sn.state_dict()
    if case.startswith(("normalized", "loaded")):
        forward = DistributedDataParallel(network)
    if case.startswith("loaded"):
        torch.testing.assert_close(sn.state_dict(), scales, rtol=0, atol=0)
        assert sn.sigmas()["0"] == other_sn.sigmas()["0"]
    train(network, forward, optimizer)
    weights = network.state_dict()
    if case.startswith("sharded"):
        weights = {name: value.full_tensor() for name, value in weights.items()}
    return {"weights": dict(weights), "state": sn.state_dict()}


def compiled_case(rank: int) -> dict:
    """A compiled critic inside DDP."""
    network = make(rank)
    forward = torch.compile(DistributedDataParallel(network), backend="eager")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    sn = SpectralNorm(network, optimizer)
    torch.manual_seed(10 + rank)
    train(network, forward, optimizer, 10)
    return {"weights": dict(network.state_dict()), "state": sn.state_dict()}


def on_rank(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    results = {case: run_case(case, rank) for case in CASES}
    results["compiled"] = compiled_case(rank)
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(on_rank, (port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, "compiled"])
def test_two_ranks_with_seeds_of_their_own_keep_one_network(ranks, case):
    torch.testing.assert_close(ranks[0][case], ranks[1][case], rtol=0, atol=0)
    network = make(0)
    start = network[0].weight.detach().clone()
    network.load_state_dict(ranks[0][case]["weights"])
    assert (network[0].weight - start).abs().max() > 0.01
    for layer in network[::2]:
        assert top_singular_value(layer) == pytest.approx(1.0, rel=0.01)
