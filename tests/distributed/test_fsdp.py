"""Sharded weights (FSDP2) train what whole ones do, and send no more than the documents say."""

from dataclasses import replace

import pytest
import torch

from helpers.ranks import on_ranks
from helpers.sharded import (
    CASES,
    LOOPS,
    NETWORKS,
    QUICK,
    SLOW,
    TRAFFIC,
    TWO,
    build,
    config_of,
    looped,
    on_four,
    trained,
)
from helpers.training import assert_identical
from sngan import METHODS
from sngan.config import PerformanceConfig
from sngan.utils.families import of_family

EVERY = [*QUICK, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.mark.parametrize("case", EVERY)
def test_two_ranks_train_what_one_process_does(trained_by_ranks, case):
    torch.set_num_threads(1)
    got, expected = trained_by_ranks[0], trained(case)
    for step, (one, other) in enumerate(zip(got["terms"], expected["terms"], strict=True)):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9), step
    assert got["sigmas"] == pytest.approx(expected["sigmas"], rel=1e-6)
    for network in NETWORKS:
        torch.testing.assert_close(
            got["state"][network], dict(expected["state"][network]), rtol=1e-5, atol=1e-7
        )
    torch.testing.assert_close(got["sample"], expected["sample"], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", EVERY)
def test_what_every_rank_has_is_bit_identical(trained_by_ranks, case):
    assert_identical(*trained_by_ranks)


@pytest.mark.parametrize("case", ["sn", "sn-gp", "sn-resnet", "sn-points"])
def test_sigma_is_that_of_the_whole_weight(fsdp_ranks, case):
    got = fsdp_ranks[0]["trained"][case]["state"]
    family = "points" if case == "sn-points" else "images"
    coefficient = of_family(METHODS[CASES[case]["method"]], family).coefficient
    for name in got["spectral_norm"]["layers"]:
        matrix = got["critic"][f"{name}.weight"].flatten(1)
        largest = torch.linalg.svdvals(matrix)[0].item()
        # one power iteration a step follows σ from below
        assert largest == pytest.approx(coefficient, rel=0.02), name
        assert largest >= coefficient * (1 - 1e-9)


@pytest.mark.parametrize("case", LOOPS)
def test_a_loop_of_ones_own(fsdp_ranks, case):
    expected = looped(case)
    for rank in (0, 1):
        got = fsdp_ranks[rank]["looped"][case]
        for part in ("weights", "norm", "singular", "certified", "rescaled"):
            torch.testing.assert_close(got[part], expected[part], rtol=1e-9, atol=1e-12)


def test_ranks_that_were_seeded_apart_agree(fsdp_ranks):
    one, other = (rank["apart"] for rank in fsdp_ranks)
    assert_identical(one["norm"], other["norm"])
    assert_identical(one["weights"], other["weights"])
    for name, values in one["singular"].items():
        assert values[0].item() == pytest.approx(1, rel=0.02), name


def test_the_log_says_that_nothing_is_compiled(fsdp_ranks):
    line = "performance.compile: not compiled, because FSDP gathers the weights in between"
    # only the first rank speaks
    assert [rank["compiled log"] for rank in fsdp_ranks] == [[line], []]


def test_torchs_normalization_is_taken_over_before_sharding(fsdp_ranks):
    expected = "module: expected unsharded weights (call fully_shard afterwards), got sharded ones"
    assert fsdp_ranks[0]["refusal"] == expected


ROWS = {"dense": 5 + 7, "two iterations": 5 + 7, "tied": 5, "convolutions": 27 + 18 + 6 + 64}


LAYERS = {"dense": 2, "two iterations": 2, "tied": 1, "convolutions": 4}


@pytest.mark.parametrize("case", ROWS)
def test_norms_send_what_the_docs_say(fsdp_ranks, case):
    iterations = LOOPS[case][2].get("iterations", 1)
    expected = [ROWS[case] + LAYERS[case]] * (1 + iterations)
    # the transposed convolution is gathered
    assert fsdp_ranks[0]["looped"][case]["sent"]["c10d::allreduce_"] == 6 * expected


def padded(parameters, ranks: int = 2) -> int:
    """Elements of weights whose rows are filled up to a multiple of the ranks."""
    return sum(-(-len(p) // ranks) * ranks * p[0].numel() for p in parameters)


@pytest.mark.parametrize("case", TRAFFIC)
def test_weights_are_sent_as_the_docs_say(fsdp_ranks, case):
    config = config_of(case)
    state = build(config)
    n, sent = config.method.n_critic, fsdp_ranks[0]["traffic"][case]["sent"]
    all_of, in_stages = {}, {}
    for name in ("generator", "critic"):
        network = getattr(state, name).module
        all_of[name] = padded(network.parameters())
        in_stages[name] = padded(p for k, p in network.named_parameters() if k.startswith("stages"))
    again = 0 if config.method.penalty is not None else in_stages["critic"]
    gathered = (n + 1) * (all_of["critic"] + again)
    gathered += all_of["generator"] + (n + 1) * in_stages["generator"]
    assert sum(sent["c10d::_allgather_base_"]) == gathered
    scattered = n * all_of["critic"] + all_of["generator"]
    assert sum(sent["c10d::_reduce_scatter_base_"]) == scattered


@pytest.mark.parametrize("case", TRAFFIC)
def test_each_rank_holds_its_share(fsdp_ranks, case):
    state = build(config_of(case))
    generator, critic = ([*getattr(state, n).module.parameters()] for n in NETWORKS[:2])
    held = [rank["traffic"][case]["held"] for rank in fsdp_ranks]
    # weights and two moments of both, the average of one
    assert sum(held) == sum(4 * p.numel() for p in generator) + sum(3 * p.numel() for p in critic)
    assert held[0] == (4 * padded(generator) + 3 * padded(critic)) // 2


def test_an_unknown_strategy():
    with pytest.raises(ValueError, match=r"performance.strategy: expected one of auto, ddp, fsdp"):
        PerformanceConfig(strategy="fsdb")


def test_fsdp_is_launched_on_one_process_too():
    assert TWO.has_process_group
    assert TWO.is_sharded
    assert PerformanceConfig(strategy="fsdp").has_process_group
    assert not PerformanceConfig(strategy="ddp").is_sharded


@pytest.mark.slow
def test_four_ranks_and_hybrid_sharding(tmp_path):
    on_ranks(replace(TWO, devices=4), on_four, tmp_path)
    results = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(4)]
    for case in LOOPS:
        expected = looped(case)
        for got in (one for result in results for one in result[case]):
            for part in ("weights", "norm", "singular", "certified", "rescaled"):
                torch.testing.assert_close(got[part], expected[part], rtol=1e-9, atol=1e-12)
