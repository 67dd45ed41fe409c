"""The playground's JavaScript against the library: training, data, modes, W₁ and norms."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from helpers.playground import (
    FOLDER,
    by_node,
    config_of,
    deviation,
    double_run,
    library_run,
    settings_of,
)  # fmt: skip
from sngan import data, lipschitz_bounds, metrics
from website.playground import PAGE, ROWS, results

OFFERED = ["sn", "wgan", "wgan-gp", "r1", "vanilla"]
SOURCES = ["ring8", "grid25", "swissroll"]
AGREE = 1e-5

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not on PATH")
Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """``call(name, given)`` of a function of ``playground_calls.js``, in node."""
    return lambda name, given=None: by_node(name, given, tmp_path)


def test_the_javascript_is_short() -> None:
    scripts = sorted(FOLDER.glob("*.js"))
    lengths = {path.name: len(path.read_text().splitlines()) for path in scripts}
    assert len(lengths) == 3
    assert sum(lengths.values()) < 600, lengths


@needs_node
@pytest.mark.parametrize(
    "sources", [SOURCES[2:], pytest.param(SOURCES[:2], marks=pytest.mark.slow)], ids=" ".join
)
@pytest.mark.parametrize("method", OFFERED)
def test_twenty_steps_equal_the_librarys(call: Call, method: str, sources: list[str]) -> None:
    """JavaScript sums in double precision, so it is compared with the library in float64 as well.

    Where an exact gradient is zero, as that of a bias behind which all points have one slope, Adam
    divides the rounding error by itself, and float32 does not decide the step. The library's own
    two runs differ in these cases; in all others JavaScript must equal ``train_step``.
    """
    for source in sources:
        start, single = library_run(method, source, seed=0)
        double = double_run(method, source, start, seed=0)
        found = call("train", start)
        assert deviation(found, double) < AGREE, source
        is_decided = deviation(single, double) < AGREE
        assert is_decided or source != "swissroll"
        if is_decided:
            assert deviation(found, single) < AGREE, source


@needs_node
def test_a_wrong_step_would_be_noticed(call: Call) -> None:
    start, _ = library_run("sn", "swissroll", seed=0)
    double = double_run("sn", "swissroll", start, seed=0)
    start["norms"][1]["s"] *= 1.001
    assert deviation(call("train", start), double) > 10 * AGREE


@needs_node
def test_the_recipes_are_the_librarys(call: Call) -> None:
    found = call("methods")
    assert sorted(found) == sorted(OFFERED)
    limits = {"coefficient", "clip", "penalty", "penalty_weight"}
    for name, own in found.items():
        settings = settings_of(config_of(name, "ring8", seed=0).method)
        expected = {key: value for key, value in settings.items() if value or key not in limits}
        limit = own.pop("limit", None)
        assert own == expected
        assert limit in expected if limit else limits.isdisjoint(expected)


@needs_node
def test_the_mixtures_are_the_librarys(call: Call) -> None:
    for name, mixture in call("mixtures").items():
        own = data.MIXTURES[name]
        np.testing.assert_allclose(mixture["centres"], own.centres.numpy(), rtol=0, atol=1e-6)
        assert mixture["std"] == own.std


@needs_node
@pytest.mark.parametrize("source", SOURCES)
def test_points_follow_the_librarys_formula(call: Call, source: str) -> None:
    """The library's points are drawn again from the seed of its data sets."""
    points, generator = 50_000, torch.Generator().manual_seed(20180216)
    if source == "swissroll":
        first = torch.rand(points, generator=generator)
    else:
        count = len(data.MIXTURES[source].centres)
        first = (torch.randint(count, (points,), generator=generator) + 0.5) / count
    normals = torch.randn(points, 2, generator=generator)
    draws = torch.cat([first[:, None], normals], dim=1)[:500]
    found = call("places", {"name": source, "draws": draws.tolist()})
    expected = data.open_source(source).samples[:500]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


@needs_node
def test_random_numbers_are_uniform_and_normal(call: Call) -> None:
    uniform, normal = np.array(call("random", 20_000)).T
    assert 0 <= uniform.min() < 0.001
    assert 0.999 < uniform.max() < 1
    assert np.allclose(np.histogram(uniform, 10, (0, 1))[0], 2000, atol=200)
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    assert abs((np.abs(normal) < 1).mean() - 0.6827) < 0.015


@needs_node
@pytest.mark.parametrize("source", ["ring8", "grid25"])
def test_modes_are_counted_as_by_the_library(call: Call, source: str) -> None:
    mixture, rng = data.MIXTURES[source], np.random.default_rng(0)
    near = mixture.centres.numpy()[rng.integers(0, 5, 200)]
    clouds = [near + spread * rng.standard_normal((200, 2)) for spread in (0.004, 0.015, 0.3)]
    found = call("coverage", {"clouds": [x.flatten().tolist() for x in clouds], "name": source})
    for points, own in zip(clouds, found, strict=True):
        expected = metrics.mixture_coverage(torch.from_numpy(points), mixture)
        assert own["covered"] == expected.covered
        assert own["total"] == expected.total
        assert own["share"] == pytest.approx(expected.high_quality, abs=1e-12)
        distances = np.linalg.norm(points[:, None] - mixture.centres.numpy(), axis=2)
        missed = mixture.centres.numpy()[(distances > 3 * mixture.std).all(axis=0)]
        assert np.reshape(own["missed"], (-1, 2)) == pytest.approx(missed, abs=1e-6)


@needs_node
def test_w1_is_that_of_scipys_assignment(call: Call) -> None:
    rng = np.random.default_rng(1)
    pairs = [
        rng.standard_normal((2, n, 2)) * [1, height]
        for n in (1, 2, 7, 64, 128)
        for height in (1, 1e-6)
    ]
    pairs += [np.zeros((2, 5, 2)), np.round(2 * rng.standard_normal((2, 40, 2)))]  # ties
    assert call("wasserstein", [[["no number", 0], [0, 0]]]) == [None]  # it diverged
    found = call("wasserstein", [[x.flatten().tolist(), y.flatten().tolist()] for x, y in pairs])
    for (x, y), own in zip(pairs, found, strict=True):
        costs = np.linalg.norm(x[:, None] - y[None], axis=2)
        assert own == pytest.approx(
            costs[linear_sum_assignment(costs)].mean(), rel=1e-12, abs=1e-15
        )


def _matrices() -> list[np.ndarray[Any, Any]]:
    rng, found = np.random.default_rng(2), []
    for shape in [(32, 32), (1, 32), (32, 2), (5, 1), (1, 1)]:
        w = rng.standard_normal(shape)
        left, _, right = np.linalg.svd(w, full_matrices=False)
        found += [w, 1e3 * w, left @ right, np.outer(w[:, 0], w[0]), 0 * w]
    return [w.astype(np.float32) for w in found]


@needs_node
def test_norms_are_those_of_an_svd(call: Call) -> None:
    matrices = _matrices()
    given = [{"w": w.flatten().tolist(), "rows": w.shape[0], "cols": w.shape[1]} for w in matrices]
    for w, found in zip(matrices, call("norms", given), strict=True):
        sigma = np.linalg.svd(w.astype(np.float64), compute_uv=False)[0]
        assert sigma * (1 - 1e-12) <= found["bound"] <= 1.014 * sigma
        # the scale of a zero matrix is 1, so that it stays zero
        assert found["sigma"] == pytest.approx(sigma or 1, rel=1e-6)
        assert np.linalg.norm(w.T @ np.array(found["u"])) == pytest.approx(sigma, rel=1e-6)


@needs_node
@pytest.mark.parametrize("method", ["sn", "vanilla"])
def test_measures_are_those_of_the_library(call: Call, method: str) -> None:
    found = call("measures", {"data": "ring8", "method": method, "seed": 3, "steps": 40})
    real, points = (np.array(found[key]).reshape(-1, 2) for key in ("real", "points"))
    costs = np.linalg.norm(real[:, None] - points[None], axis=2)
    assert found["w1"] == pytest.approx(costs[linear_sum_assignment(costs)].mean(), rel=1e-12)
    critic = _network(found["critic"])
    with torch.no_grad():
        scores = [critic(torch.tensor(x, dtype=torch.float64)).mean() for x in (real, points)]
    assert found["value"] == pytest.approx(float(scores[0] - scores[1]), abs=1e-5)
    assert found["bound"] == pytest.approx(found["value"] / found["lipschitz"])
    assert found["bound"] <= found["w1"]
    bounds = lipschitz_bounds(critic, (2,))
    assert float(bounds.lower) <= found["lipschitz"]
    singular = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in critic[::2]]
    assert np.prod(singular) <= found["lipschitz"] * (1 + 1e-12) <= 1.05 * np.prod(singular)


@needs_node
@pytest.mark.slow
def test_the_table_of_the_page_is_found_again() -> None:
    shown = re.search(r"\| vanilla on ring8 \| (\d+), ", PAGE.read_text())
    assert shown is not None
    assert results(ROWS[0], seeds=1)[0]["covered"] == int(shown[1])


def _network(layers: list[dict[str, Any]]) -> torch.nn.Sequential:
    """The critic that JavaScript trained. Its first layer holds the coordinates, without a kink."""
    modules: list[torch.nn.Module] = []
    for layer in layers:
        linear = torch.nn.Linear(len(layer["w"]) // len(layer["b"]), len(layer["b"])).double()
        w, b = (torch.tensor(layer[key], dtype=torch.float64) for key in ("w", "b"))
        linear.weight.data, linear.bias.data = w.reshape(linear.weight.shape), b
        modules += [linear, torch.nn.LeakyReLU(0.1) if len(modules) else torch.nn.Identity()]
    return torch.nn.Sequential(*modules[:-1])
