"""Numbers of stations 5 to 9 of the guide against independent truths."""

import json
import math
import runpy
import statistics

import matplotlib as mpl
import numpy as np
import pytest
import torch
from benchmarks.results import claim_table, records
from scipy.linalg import toeplitz
from scipy.signal import convolve2d
from scipy.sparse.linalg import LinearOperator, svds
from torch.nn.utils.parametrizations import spectral_norm

from sngan import SpectralNorm
from website import figures

GUIDE = figures.ROOT / "docs" / "guide"


def script(name):
    """Return the functions of a data script, without its numbers."""
    return runpy.run_path(str(GUIDE / f"{name}_data.py"))


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return a function that runs the script of a figure, and returns its variables."""
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    kept = torch.get_default_dtype()
    yield lambda name: runpy.run_path(str(GUIDE / f"{name}.py"))
    torch.set_default_dtype(kept)


def slopes(critic, points):
    points = points.clone().requires_grad_()
    return torch.autograd.grad(critic(points).sum(), points)[0].norm(dim=1)


# 5, training


def test_positions_survive_their_code():
    coded = script("training")["coded"]
    values = torch.linspace(-2, 2, 101)
    text = coded(values, 2.0)
    decoded = [(int(text[k : k + 2], 16) / 127 - 1) * 2 for k in range(0, len(text), 2)]
    np.testing.assert_allclose(decoded, values, atol=2 / 127 / 2 + 1e-6)


@pytest.mark.parametrize("method", ["original", "clipping", "penalty"])
def test_the_pull_is_the_gradient_of_the_papers_loss(method):
    pair = script("training")["Pair"](method)
    for _ in range(3):
        pair.critic_step()
    torch.manual_seed(5)
    frame, critic = pair.frame(), pair.critic.double()
    points = pair.generator.double()(pair.noise.double()).detach()
    step, scores = 1e-6, critic(points)[:, 0]
    gradient = torch.stack(
        [
            (critic(points + step * e)[:, 0] - critic(points - step * e)[:, 0]) / (2 * step)
            for e in torch.eye(2, dtype=torch.float64)
        ],
        dim=1,
    )
    pull = gradient.norm(dim=1) * (scores.sigmoid() if method == "original" else 1)
    assert frame["push"] == pytest.approx(pull.mean().item(), rel=1e-3)
    assert frame["slope"] <= frame["proved"]
    assert slopes(critic, 6 * torch.rand(2000, 2).double() - 3).max() <= frame["proved"]
    if method == "clipping":
        assert all(weight.abs().max() <= 0.2 + 1e-7 for weight in critic.parameters())


@pytest.mark.slow
def test_the_words_about_training_are_true(tmp_path):
    figures.run(GUIDE / "training_data.py", tmp_path)
    text = (tmp_path / "training.json").read_text()
    data = json.loads(text)
    assert len(text) < 200_000
    start, trained, end = data["start"], data["trained"], data["end"]
    assert trained["original"]["push"] < 0.01
    assert trained["original"]["slope"] == max(one["slope"] for one in trained.values())
    assert trained["clipping"]["at_c"] > 2 * start["clipping"]["at_c"]
    assert data["half_slope"] < trained["clipping"]["slope"] / 3
    assert trained["penalty"]["push"] == pytest.approx(1, abs=0.2)
    assert trained["penalty"]["slope"] > 1.05
    assert end["penalty"]["w1"] < trained["penalty"]["w1"] / 2


# 6, matrices


@pytest.mark.parametrize(("down", "across"), [((1, 1, 1), (1, 1, 1)), ((1, 2, 1), (-1, 0, 1))])
def test_norms_of_separable_kernels_against_two_small_matrices(down, across):
    kernel = torch.tensor(np.outer(down, across), dtype=torch.float64)
    found = script("matrices")["norms"](kernel)
    one_dimensional = [
        toeplitz([k[1], k[0], *[0] * 30], [k[1], k[2], *[0] * 30]) for k in (down, across)
    ]
    truth = math.prod(np.linalg.norm(m, 2) for m in one_dimensional) / np.linalg.norm(kernel)
    assert found["exact"] == pytest.approx(truth, abs=1e-5)
    if across == (1, 1, 1):
        assert found["exact"] == pytest.approx((1 + 2 * math.cos(math.pi / 33)) ** 2 / 3, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_norms_of_any_kernel_against_lanczos_and_its_fourier_transform(seed):
    kernel = np.random.default_rng(seed).normal(size=(3, 3))
    found, size = script("matrices")["norms"](torch.tensor(kernel)), np.linalg.norm(kernel)

    def through(weights):
        return lambda x: convolve2d(x.reshape(32, 32), weights, mode="same").ravel()

    layer = LinearOperator((1024, 1024), through(kernel), rmatvec=through(kernel[::-1, ::-1]))
    truth = svds(layer, k=1, return_singular_vectors=False, tol=1e-10)[0] / size
    waves = np.abs(np.fft.fft2(kernel, (512, 512))).max() / size
    assert found["exact"] == pytest.approx(truth, abs=1e-5)
    assert truth <= found["proved"] <= waves * (1 + 1e-4)
    np.testing.assert_allclose(found["kernel"], (kernel / size).ravel(), atol=1e-4)


def test_stretches_of_matrices_against_numpy():
    functions = script("matrices")
    for entries, degrees in functions["PRESETS"].values():
        read = functions["matrix_check"](entries, degrees)["read"]
        matrix, angle = np.reshape(entries, (2, 2)), math.radians(degrees)
        sigma = np.linalg.svd(matrix, compute_uv=False)[0]
        stretch = np.linalg.norm(matrix @ [math.cos(angle), math.sin(angle)])
        assert read["matrices-sigma"] == pytest.approx(sigma, abs=1e-5)
        assert read["matrices-of-x"] == pytest.approx(stretch, abs=1e-5)


# 7, power iteration


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8, 0.9, 0.97])
def test_power_iteration_against_powers_of_the_matrix(ratio):
    functions = script("power_iteration")
    found = functions["iterated"](ratio)
    matrix = np.reshape(found["matrix"], (2, 2))
    np.testing.assert_allclose(np.linalg.svd(matrix)[1], [1, ratio], atol=2e-4)
    # tan of the angle from the top direction shrinks by the squared ratio
    angles = [math.atan2(y, x) - functions["LEFT"] for x, y in found["u"]]
    shrunk = [math.tan(angles[0]) * ratio ** (2 * k) for k in range(functions["STEPS"] + 1)]
    np.testing.assert_allclose(np.tan(angles), shrunk, rtol=1e-3, atol=2e-5)
    for k, (sigma, error) in enumerate(zip(found["sigma"], found["error"], strict=True)):
        cosine, sine = math.cos(angles[k]), math.sin(angles[k])
        assert sigma == pytest.approx(math.hypot(cosine, ratio * sine), abs=2e-5)
        assert sigma <= 1
        assert error == pytest.approx(1 - sigma, rel=1e-3, abs=1e-7)


def test_errors_along_training_are_those_of_the_estimate():
    errors, cold, ratios = script("power_iteration")["training_run"](1, 2e-4, updates=20)
    assert len(errors) == len(cold) == len(ratios) == 20
    assert max(errors[:3]) < 0.02, "the start is exact"
    assert statistics.median(cold) > 3 * statistics.median(errors)
    assert all(0 < ratio <= 1 for ratio in ratios)


@pytest.mark.slow
def test_the_words_about_warm_starts_are_true(tmp_path):
    figures.run(GUIDE / "power_iteration_data.py", tmp_path)
    run = json.loads((tmp_path / "power_iteration.json").read_text())["run"]
    assert run["warm"]["last_worst"] < 0.03
    assert run["fast"]["last_worst"] < 0.03
    assert run["warm"]["worst"] > 0.02, "the page says that the beginning lags"
    assert run["cold"]["last_middle"] > 0.05


# 8, spectral normalization


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("angle", [0, 35, 150, 270])
def test_the_raw_gradient_against_autograd(angle, size):
    functions = script("spectral_normalization")
    before, raw = functions["raw_gradient"](angle, size)
    radians = math.radians(angle)
    weight = size * torch.tensor([math.cos(radians), math.sin(radians)], dtype=torch.float64)
    weight.requires_grad_()
    target = torch.tensor(functions["TARGET"], dtype=torch.float64)
    (weight / weight.norm() - target).square().sum().div(2).backward()
    np.testing.assert_allclose(raw, weight.grad, atol=1e-12)
    unit = weight.detach() / size
    np.testing.assert_allclose(before, unit - target, atol=1e-12)
    assert abs(np.dot(raw, unit.numpy())) < 1e-12


def test_the_walk_against_plain_gradient_descent():
    functions = script("spectral_normalization")
    weight, target = np.array([-math.sqrt(3), 1]) / 2, np.array(functions["TARGET"])
    for point in functions["walk"](1.0):
        np.testing.assert_allclose(point, weight, atol=1e-4)
        length = np.linalg.norm(weight)
        gradient = weight / length - target
        gradient -= (gradient @ weight) * weight / length**2
        weight = weight - 0.3 * gradient / length


def test_both_ways_of_normalization_agree():
    found = script("spectral_normalization")["trajectory"]()
    assert found["difference"] <= 1e-6
    assert found["way"] > 0.05


@pytest.mark.slow
def test_the_figure_shows_that_both_ways_agree(drawn):
    losses = np.array(drawn("spectral_normalization")["found"])
    assert np.abs(losses[::2] - losses[1::2]).max() < 1e-14
    assert losses[-1] < losses[0] / 5, "the network learns"


def test_the_settings_are_those_of_the_results():
    found, kept = script("spectral_normalization")["settings"](), records.load("claim")
    for method, cells in found.items():
        for setting, value in cells.items():
            truth = claim_table.values(kept, "frechet", method=method, setting=setting)
            assert value == (pytest.approx(statistics.fmean(truth), abs=0.006) if truth else None)


# 9, limits


@pytest.mark.parametrize("kind", ["relu_critic", "sorting_critic"])
def test_brackets_hold_at_many_points(kind):
    functions = script("limits")
    torch.manual_seed(0)
    critic = functions[kind](1)
    found = functions["trained"](critic, normalized=kind == "relu_critic")
    assert found["attained"] <= found["proved"] <= found["product"] * (1 + 1e-5)
    steepest = slopes(critic.double(), 8 * torch.rand(4000, 2).double() - 4).max().item()
    assert 0.95 * steepest <= found["attained"]
    assert steepest <= found["proved"]
    weights = [layer.weight for layer in critic if isinstance(layer, torch.nn.Linear)]
    product = math.prod(np.linalg.norm(w.detach().numpy(), 2) for w in weights)
    assert found["product"] == pytest.approx(product, abs=3e-5)
    assert product == pytest.approx(1, abs=2e-3)


def test_the_claims_are_those_of_the_results():
    found, kept = script("limits")["claims"](), records.load("claim")
    names = {"sn": "sn", "gp": "wgan-gp", "clip": "wgan", "wn": "wn", "bn": "bn"}
    for key, method in names.items():
        truth = statistics.median(claim_table.values(kept, "frechet", method=method))
        assert found[key] == pytest.approx(truth)
    assert found["robust"] == ("holds" if found["sn"] < found["gp"] else "does not hold")
    assert found["batch"] == ("holds" if found["sn"] < found["bn"] else "does not hold")
    of_sn = [one for one in records.load("modes") if one.key.startswith("grid25-sn-")]
    of_sn = [one.result["modes"] for one in of_sn if one.settings["method"]["name"] == "sn"]
    assert found["modes"]["sn"] == {"mean": statistics.fmean(of_sn), "seeds": len(of_sn)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["matrix", "operator"])
def test_norms_of_trained_convolutions(kind):
    found = script("limits")["convolutions"](kind)
    assert found["product"] == pytest.approx(math.prod(found["norms"]))
    if kind == "operator":
        assert found["product"] == pytest.approx(1, abs=1e-4)
    else:
        assert found["product"] > 3, "the page says that the kernel's norm is no limit"


@pytest.mark.slow
def test_attention_gets_steeper_with_its_input():
    found = script("limits")["attention"]()
    assert found["proved"] == "no bound"
    assert found["slopes"]["1"] < found["slopes"]["16"] < found["slopes"]["128"]


@pytest.mark.slow
def test_the_numbers_about_attention_are_those_of_its_figure(drawn):
    figure, found = drawn("limits"), script("limits")["attention"]()["slopes"]
    shown = dict(zip(figure["sizes"], figure["slopes"], strict=True))
    assert {float(size): slope for size, slope in found.items()}.items() <= shown.items()


def test_a_matrix_loses_the_part_of_the_gradient_along_its_top_vectors():
    """The formula of station 8 for a matrix, by an SVD, against the library and against torch."""
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Linear(5, 4, bias=False).double() for _ in range(2))
    raw, target = ours.weight.detach().clone(), torch.randn(4, 5).double()
    theirs.weight.data.copy_(raw)
    spectral_norm(theirs, n_power_iterations=100)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.0)
    SpectralNorm(ours, optimizer)
    for layer in (ours, theirs):
        (layer.weight * target).sum().backward()
    optimizer.step()
    u, sigmas, v = torch.linalg.svd(raw)
    inner = (target * raw / sigmas[0]).sum()
    truth = (target - inner * torch.outer(u[:, 0], v[0])) / sigmas[0]
    torch.testing.assert_close(ours.weight.grad, truth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(theirs.parametrizations.weight.original.grad, truth)
