"""Intervals of metrics by half-samples: their coverage, and which values have one."""

import numpy as np
import pytest
import torch

from helpers.features import normal
from sngan.data import Dataset, open_source
from sngan.metrics import METRICS, Evaluator, chosen_metrics
from sngan.metrics.measuring import USUAL, Compared, intervals, measured

pytestmark = pytest.mark.usefixtures("shared_cache")
SMOOTH = ("frechet", "frechet_infinity", "kernel", "mind", "w1", "sliced_w1", "fld")
SHARES = ("precision", "recall", "density", "coverage", "memorized_distance", "authpct")


def compared(seed, count=120, d=4, shift=0.6):
    real, held_out = normal(count, d, seed=3 * seed), normal(count, d, seed=3 * seed + 1)
    generated = 1.2 * normal(count, d, seed=3 * seed + 2) + shift
    return Compared(
        generated,
        real,
        held_out=held_out,
        logits=None,
        modes=lambda rows: {},
        seed=seed,
        transported=count,
    )


@pytest.mark.slow
def test_intervals_cover_the_mean_over_other_samples_as_often_as_they_say():
    names = (*SMOOTH, *SHARES)
    others = [measured(compared(seed), names) for seed in range(1000, 1300)]
    means = {name: np.mean([one[name] for one in others]) for name in names}
    hits = {name: [] for name in names}
    for seed in range(150):
        one = compared(seed)
        between = intervals(one, measured(one, names), 15)
        for name, (low, high) in between.items():
            hits[name].append(low <= means[name] <= high)
    shares = {name: np.mean(found) for name, found in hits.items()}
    assert set(shares) == set(names)
    assert all(shares[name] >= 0.88 for name in names), shares
    # no interval is so wide that it says nothing
    one = compared(0)
    values = measured(one, names)
    for name, (low, high) in intervals(one, values, 15).items():
        spread = np.std([other[name] for other in others])
        assert high - low < 4 * 2 * 1.96 * spread, name


def test_an_interval_is_the_spread_over_halves_around_the_value():
    one = compared(5)
    values = measured(one, ("frechet", "precision", "authpct", "kernel_error", "kernel"))
    seen = []
    found = intervals(one, values, 8, progress=lambda *at: seen.append(at))
    assert set(found) == {"frechet", "precision", "authpct", "kernel"}
    assert seen[-1] == (8, 8)
    assert intervals(one, values, 8) == found
    low, high = found["frechet"]
    assert (low + high) / 2 == pytest.approx(values["frechet"], rel=1e-9)
    assert found["precision"][1] <= 1
    # twice as many samples make an interval about √2 narrower
    wide, narrow = (
        np.mean([np.diff(intervals(c, measured(c, ("mind",)), 20)["mind"]) for c in group])
        for group in ([compared(s, n) for s in range(6)] for n in (100, 400))
    )
    assert narrow == pytest.approx(wide / 2, rel=0.35)


def test_the_evaluator_gives_intervals_if_asked_and_modes_have_none():
    ring = open_source("ring8")
    samples = ring.values(torch.arange(300))
    plain = Evaluator(ring, samples=300)(samples)
    assert (plain.intervals, plain.halves) == ({}, 0)
    found = Evaluator(ring, samples=300, halves=4)(samples)
    assert found.values == plain.values
    without = {"modes", "modes_of", "kernel_error", "w1_lower", "w1_upper"}
    assert set(found.intervals) == set(found.values) - without
    assert found.halves == 4
    assert "95 % interval" in found.table()
    few = Evaluator(ring, samples=15, halves=4)(samples[:15])
    assert (few.intervals, few.halves) == ({}, 0)
    with pytest.raises(ValueError, match="halves: expected 0, or at least 2, got 1"):
        Evaluator(ring, halves=1)


def test_a_choice_of_metrics():
    assert chosen_metrics(None) == USUAL
    assert set(METRICS) - set(USUAL) == {"frechet_infinity", "fld"}
    assert chosen_metrics("all") == METRICS
    assert chosen_metrics("fld, frechet") == ("frechet", "fld")
    assert chosen_metrics(["usual", "fld"]) == tuple(n for n in METRICS if n != "frechet_infinity")
    for names, said in {
        "": "metrics: expected one of",
        "frechet,fidd": r"metrics: expected one of .*got 'fidd' \(did you mean fld",
    }.items():
        with pytest.raises(ValueError, match=said):
            chosen_metrics(names)
    with pytest.raises(ValueError, match="metrics: expected names among"):
        chosen_metrics([])
    ring = open_source("ring8")
    found = Evaluator(ring, samples=40, metrics="precision,frechet_infinity")(ring.samples[:40])
    assert list(found.values) == ["frechet_infinity", "precision"]


def test_fld_needs_samples_that_were_held_out():
    ring = open_source("ring8")
    held_out = Dataset("others", ring.samples[500:700])
    evaluator = Evaluator(ring, samples=100, metrics="fld", held_out=held_out)
    fresh = evaluator(ring.samples[2000:2100]).values["fld"]
    order = torch.randperm(len(ring), generator=torch.Generator().manual_seed(0))
    copies = evaluator(ring.samples[order[:100]]).values["fld"]
    assert copies > fresh + 10
    for given, said in {
        "none": (None, "held_out: expected samples that were held out from training"),
        "few": (Dataset("few", ring.samples[:5]), "held_out: expected at least 10 samples"),
        "other": (
            Dataset("other", torch.zeros(20, 3)),
            "held_out: expected at least 10 samples of",
        ),
    }.values():
        with pytest.raises(ValueError, match=said):
            Evaluator(ring, metrics="fld", held_out=given)
