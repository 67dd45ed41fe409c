"""SpectralNorm of kind operator, against the norm of the dense matrix of each layer."""

import copy
import math

import pytest
import torch
from torch import nn

from sngan import SpectralNorm, losses
from sngan.data import open_source
from sngan.spectral import certified_norm
from sngan.spectral.operator.linear_map import linear_map

# one layer of every kind, under the name of its special feature, and an input shape
LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (6,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 9)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 6, 7)),
    "conv2d, long": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 20, 5)),
    "stride 2": (lambda: nn.Conv2d(2, 4, 4, stride=2, padding=1), (2, 8, 8)),
    "stride over the kernel": (lambda: nn.Conv2d(2, 4, 2, stride=3), (2, 8, 8)),
    "dilated": (lambda: nn.Conv2d(2, 3, 3, dilation=2, padding=2), (2, 6, 6)),
    "dilated, long": (lambda: nn.Conv1d(2, 3, 3, dilation=3, padding=3), (2, 40)),
    "dilated, stride 2, long": (lambda: nn.Conv1d(2, 3, 3, stride=2, dilation=3), (2, 50)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2), (4, 6, 6)),
    "circular": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (2, 6, 6)),
    "reflect": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (2, 6, 6)),
    "replicate": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="replicate"), (2, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 4, 3, 4)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(3, 2, 3, stride=2), (3, 6)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), (3, 5, 4)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 1, 2), (2, 3, 3, 3)),
    "kernel over the torus": (lambda: nn.Conv1d(1, 2, 7, padding=3), (1, 3)),
}


def norm_of(layer: nn.Module, shape: tuple[int, ...]) -> float:
    return float(torch.linalg.svdvals(linear_map(layer, shape).dense())[0])


def trained(
    layer: nn.Module, shape: tuple[int, ...], *, steps: int = 300, lr: float = 1e-4, **options
) -> tuple[SpectralNorm, torch.optim.Optimizer]:
    """A layer that random gradients moved, with its normalization."""
    optimizer = torch.optim.Adam(layer.parameters(), lr=lr)
    sn = SpectralNorm(layer, optimizer, kind="operator", input_shape=shape, **options)
    for _ in range(steps):
        layer.weight.grad = torch.randn_like(layer.weight)
        optimizer.step()
    return sn, optimizer


@pytest.mark.parametrize("case", LAYERS)
def test_each_kind_of_layer_is_kept_at_its_norm_as_a_map(case):
    make, shape = LAYERS[case]
    torch.manual_seed(0)
    layer = make().double()
    sn, _ = trained(layer, shape, steps=100, coefficient=2.0, iterations=5)
    # tight within 4 % a side, except for factors of padding modes and ends of short signals
    assert 0.4 < norm_of(layer, shape) / 2.0 <= 1.001
    bounds = sn.certify()
    assert norm_of(layer, shape) <= 2.0
    assert list(bounds.values()) == pytest.approx([2.0], rel=1e-4)
    assert max(bounds.values()) <= 2.0


def test_tight_where_the_torus_is_the_layer():
    torch.manual_seed(0)
    make, shape = LAYERS["circular"]
    layer = make().double()
    trained(layer, shape, iterations=20)
    assert norm_of(layer, shape) == pytest.approx(1.0, abs=1e-4)


def test_the_check_fails_for_the_reshaped_kernel():
    """With kind matrix the same layer is far from 1 as a map."""
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4)
    SpectralNorm(layer, optimizer)
    assert norm_of(layer, (2, 6, 7)) > 1.2


def test_for_a_linear_layer_both_kinds_are_the_same():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 5).double()]
    layers.append(copy.deepcopy(layers[0]))
    for layer, options in zip(
        layers, [{"kind": "matrix"}, {"kind": "operator", "input_shape": (6,)}], strict=True
    ):
        torch.manual_seed(1)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        SpectralNorm(layer, optimizer, **options)
        for _ in range(5):
            layer.weight.grad = torch.randn_like(layer.weight)
            optimizer.step()
    assert torch.equal(layers[0].weight, layers[1].weight)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        "transposed 2d",
        pytest.param("circular", marks=pytest.mark.slow),
        pytest.param("conv1d", marks=pytest.mark.slow),
        pytest.param("stride 2", marks=pytest.mark.slow),
        pytest.param("groups", marks=pytest.mark.slow),
    ],
)
def test_mapped_gradient_equals_finite_differences(case, strict):
    """∂L(c·W/σ(W))/∂W, with σ from a SpectralNorm of its own at every displaced W."""
    make, shape = LAYERS[case]
    torch.manual_seed(0)
    layer = make().double()
    raw = layer.weight.detach().clone()
    x = torch.randn(3, *shape, dtype=torch.float64)
    options = {
        "kind": "operator",
        "input_shape": shape,
        "coefficient": 1.5,
        "iterations": 4000,
        "strict": strict,
    }

    def loss_at(weight: torch.Tensor) -> tuple[float, nn.Module, torch.optim.Optimizer]:
        moved = copy.deepcopy(layer)
        with torch.no_grad():
            moved.weight.copy_(weight)
        optimizer = torch.optim.SGD(moved.parameters(), lr=0.0)
        torch.manual_seed(3)
        SpectralNorm(moved, optimizer, **options)
        # a step of size 0 runs the power iteration to its end
        moved.weight.grad = torch.zeros_like(moved.weight)
        optimizer.step()
        optimizer.zero_grad()
        value = moved(x).sin().sum()
        value.backward()
        return value.item(), moved, optimizer

    _, moved, optimizer = loss_at(raw)
    optimizer.step()
    direction = torch.randn_like(raw)
    step = 1e-5
    expected = (loss_at(raw + step * direction)[0] - loss_at(raw - step * direction)[0]) / 2 / step
    assert float((moved.weight.grad * direction).sum()) == pytest.approx(expected, rel=2e-5)


def small_critic() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Sequential(nn.Conv2d(4, 6, 4, stride=2, padding=1), nn.LeakyReLU(0.1)),
        nn.Flatten(),
        nn.Linear(96, 1),
    )


def penalized_steps(critic, optimizer, batches):
    for x in batches:
        x = x.clone().requires_grad_()
        optimizer.zero_grad()
        scores = critic(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        (scores.square().mean() + slope.square().mean()).backward()
        optimizer.step()


@pytest.mark.parametrize("strict", [False, True])
def test_state_dict_round_trip_continues_bit_for_bit(strict):
    torch.manual_seed(0)
    options = {"kind": "operator", "input_shape": (1, 8, 8), "strict": strict}
    critic = small_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer, **options)
    batches = list(torch.randn(6, 4, 1, 8, 8))
    penalized_steps(critic, optimizer, batches[:3])
    saved = copy.deepcopy([critic.state_dict(), optimizer.state_dict(), sn.state_dict()])
    penalized_steps(critic, optimizer, batches[3:])

    other = small_critic()
    other_optimizer = torch.optim.Adam(other.parameters(), lr=1e-2)
    other_sn = SpectralNorm(other, other_optimizer, **options)
    other.load_state_dict(saved[0])
    other_optimizer.load_state_dict(saved[1])
    other_sn.load_state_dict(saved[2])
    penalized_steps(other, other_optimizer, batches[3:])
    for left, right in zip(critic.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)


def test_strict_never_exceeds_the_coefficient():
    """The steps are so large that an estimate from below would leave a norm above c."""
    highest = {}
    for strict in (False, True):
        torch.manual_seed(0)
        layer = nn.Conv2d(2, 3, 3, padding=1).double()
        optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
        SpectralNorm(layer, optimizer, kind="operator", input_shape=(2, 12, 12), strict=strict)
        norms = []
        for _ in range(20):
            layer.weight.grad = torch.randn_like(layer.weight)
            optimizer.step()
            norms.append(norm_of(layer, (2, 12, 12)))
        highest[strict] = max(norms)
        assert min(norms) > 0.7
    assert highest[True] <= 1.0 + 1e-12
    assert highest[False] > 1.01


@pytest.mark.parametrize("kind", ["matrix", "operator"])
def test_strict_matrices(kind):
    torch.manual_seed(0)
    layer = nn.Linear(8, 5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    shape = None if kind == "matrix" else (8,)
    SpectralNorm(layer, optimizer, kind=kind, input_shape=shape, strict=True)
    for _ in range(10):
        layer.weight.grad = torch.randn_like(layer.weight)
        optimizer.step()
        assert 0.97 < norm_of(layer, (8,)) <= 1.0 + 1e-6


def test_certify_keeps_the_raw_weight_and_training_goes_on():
    torch.manual_seed(0)
    critic = small_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer, kind="operator", input_shape=(1, 8, 8), coefficient=0.5)
    batches = list(torch.randn(6, 4, 1, 8, 8))
    penalized_steps(critic, optimizer, batches[:3])
    raw = critic[0].weight.detach() * sn.sigmas()["0"] / 0.5
    bounds = sn.certify()
    assert set(bounds) == {"0", "2.0", "4"}
    assert all(0.5 * (1 - 1e-5) <= bound <= 0.5 for bound in bounds.values())
    shapes = {"0": (1, 8, 8), "2.0": (4, 8, 8), "4": (96,)}
    for name, shape in shapes.items():
        assert certified_norm(critic.get_submodule(name), shape).norm <= 0.5
    again = critic[0].weight.detach() * sn.sigmas()["0"] / 0.5
    torch.testing.assert_close(again, raw, rtol=1e-6, atol=1e-7)
    before = critic[0].weight.detach().clone()
    assert sn.certify() == bounds
    assert torch.equal(before, critic[0].weight)
    penalized_steps(critic, optimizer, batches[3:])
    assert norm_of(critic[0], (1, 8, 8)) < 0.51


def test_certify_of_an_embedding_and_of_a_zero_layer():
    embedding = nn.Embedding(4, 3)
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1)

    class Labelled(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.zero = embedding, nn.Linear(3, 2)

        def forward(self, x):
            return self.zero(self.embedding(x.long()).squeeze(1))

    module = Labelled()
    nn.init.zeros_(module.zero.weight)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    sn = SpectralNorm(module, optimizer, kind="operator", input_shape=(1,))
    bounds = sn.certify()
    assert bounds["embedding"] == pytest.approx(1.0, abs=1e-5)
    assert bounds["embedding"] <= 1.0
    assert bounds["zero"] == 0.0
    assert float(torch.linalg.svdvals(embedding.weight.detach())[0]) <= 1.0
    assert not module.zero.weight.any()


def test_a_step_skipped_by_the_scaler_changes_nothing():
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 2, 3, padding=1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    sn = SpectralNorm(layer, optimizer, kind="operator", input_shape=(1, 8, 8))
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    before = [layer.weight.detach().clone(), copy.deepcopy(sn.state_dict())]
    loss = layer(torch.ones(1, 1, 8, 8)).sum() * math.inf
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close(layer.weight, before[0], rtol=0, atol=0)
    torch.testing.assert_close(sn.state_dict(), before[1], rtol=0, atol=0)


def test_product_of_true_norms_over_a_short_training():
    """Three convolutions: near 1 with operator, over 10 with matrix, the seeds fixed."""
    dataset = open_source("digits")
    images = dataset.values(torch.arange(256))

    def product(**options) -> float:
        torch.manual_seed(1)
        critic = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(16, 16, 3, padding=1),
        )
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
        SpectralNorm(critic, optimizer, **options)
        for _ in range(100):
            real = images[torch.randint(0, 256, (32,))]
            fake = images[torch.randint(0, 256, (32,))].flip(2)
            scores = [critic(x).sum((1, 2, 3)) for x in (real, fake)]
            optimizer.zero_grad()
            losses.wasserstein.critic(*scores).backward()
            optimizer.step()
        shapes = {0: (1, 8, 8), 2: (8, 8, 8), 4: (16, 8, 8)}
        return math.prod(certified_norm(critic[k], shape).norm for k, shape in shapes.items())

    assert 0.7 < product(kind="operator", input_shape=(1, 8, 8)) <= 1.5
    assert product(kind="matrix") > 10


class SkipsALayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x)


def tied() -> nn.Module:
    first, second = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, stride=2, padding=1)
    second.weight = first.weight
    return nn.Sequential(first, second)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (small_critic(), {"kind": "operator"}, r"input_shape: expected one such as \(3, 32, 32\)"),
        (small_critic(), {"input_shape": (1, 8, 8)}, "input_shape: expected None for 'matrix'"),
        (
            small_critic(),
            {"kind": "operator", "input_shape": (3, 8, 8)},
            "input_shape: expected one that fits the module",
        ),
        (SkipsALayer(), {"kind": "operator", "input_shape": (3,)}, "expected a call of 'unused'"),
        (
            tied(),
            {"kind": "operator", "input_shape": (2, 8, 8)},
            "module: expected tied convolutions of one stride, padding and input size",
        ),
        (small_critic(), {"kind": "operators"}, "kind: expected one of .*did you mean operator"),
    ],
)
def test_bad_input_is_one_clear_line(module, options, message):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=message):
        SpectralNorm(module, optimizer, **options)


def test_certify_is_refused_for_matrices():
    layer = nn.Linear(2, 2)
    sn = SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="kind: expected 'operator' for a certificate"):
        sn.certify()


def test_finding_the_shapes_changes_nothing():
    module = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Flatten())
    module[1].eval()
    before = copy.deepcopy(module.state_dict())
    SpectralNorm(
        module,
        torch.optim.SGD(module.parameters(), lr=0.1),
        kind="operator",
        input_shape=(1, 5),
        layers=["0"],
    )
    assert [m.training for m in module] == [True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items() if k[0] == "1")
    assert not module[0]._forward_pre_hooks
