"""SpectralNorm against torch's parametrization, dense SVDs and finite differences."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as torch_spectral_norm
from torch.nn.utils.spectral_norm import spectral_norm as torch_spectral_norm_hook
from torch.utils._python_dispatch import TorchDispatchMode

from sngan import SpectralNorm


class Critic(nn.Module):
    """Every supported kind of layer, nested; an embedding scores the label by projection."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.line = nn.Sequential(
            nn.Conv1d(2, width, 3, stride=2), nn.Tanh(), nn.ConvTranspose1d(width, 3, 3, groups=1)
        )
        self.plane = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Sequential(nn.Conv2d(width, 6, (4, 2), 2, groups=2), nn.Tanh()),
            nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
        )
        self.space = nn.ModuleDict(
            {"down": nn.Conv3d(1, width, 2), "up": nn.ConvTranspose3d(width, 2, 2)}
        )
        self.head = nn.Linear(width, 1)
        self.body = nn.Linear(12, width)
        self.label = nn.Embedding(5, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        line = self.line(x[:, :16].view(-1, 2, 8)).flatten(1)
        plane = self.plane(x[:, 16:80].view(-1, 1, 8, 8)).flatten(1)
        space = self.space["up"](torch.tanh(self.space["down"](x[:, 80:].view(-1, 1, 3, 4, 2))))
        parts = [line[:, :4], plane[:, :4], space.flatten(1)[:, :4]]
        hidden = torch.tanh(self.body(torch.cat(parts, 1)))
        labels = (x[:, 0].abs() * 3).long().clamp(max=4)
        return self.head(hidden).squeeze(1) + (self.label(labels) * hidden).sum(1)


NORMED = [
    "line.0",
    "line.2",
    "plane.0",
    "plane.2.0",
    "plane.3",
    "space.down",
    "space.up",
    "head",
    "body",
    "label",
]


def make_critic(seed: int = 0) -> Critic:
    torch.manual_seed(seed)
    return Critic().double()


def make_inputs(n: int, batch: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(batch, 104, generator=generator, dtype=torch.float64) for _ in range(n)]


def dense_matrix(layer: nn.Module) -> torch.Tensor:
    weight = layer.weight.detach()
    if "Transpose" in type(layer).__name__:
        weight = weight.transpose(0, 1)
    return weight.flatten(1)


def assert_identical(left: object, right: object) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=0)


def top_singular_value(layer: nn.Module) -> float:
    return torch.linalg.svdvals(dense_matrix(layer))[0].item()


class Reference:
    """Torch's parametrization, with its power iteration run once after each optimizer step."""

    def __init__(self, critic: nn.Module, sn: SpectralNorm) -> None:
        self.critic = copy.deepcopy(critic)
        state = sn.state_dict()["layers"]
        self.lists = {}
        for name in state:
            layer = torch_spectral_norm(self.critic.get_submodule(name))
            parametrization = layer.parametrizations.weight
            with torch.no_grad():
                parametrization.original.mul_(state[name]["scale"])
                norm = parametrization[0]
                matrix = norm._reshape_weight_to_matrix(parametrization.original)
                norm._u.copy_(state[name]["u"])
                norm._v.copy_(nn.functional.normalize(matrix.t().mv(norm._u), dim=0))
            self.lists[name] = parametrization
        self.critic.eval()

    def iterate(self) -> None:
        for parametrization in self.lists.values():
            norm = parametrization[0]
            matrix = norm._reshape_weight_to_matrix(parametrization.original)
            norm._power_method(matrix, norm.n_power_iterations)

    def weight(self, name: str) -> torch.Tensor:
        return self.critic.get_submodule(name).weight


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.0, 0.9)),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=1e-2, foreach=True, weight_decay=0.1),
    "sgd-momentum": lambda p: torch.optim.SGD(p, lr=1e-1, momentum=0.9),
    "sgd-decay": lambda p: torch.optim.SGD(p, lr=1e-1, weight_decay=0.3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_trajectory_equals_torchs_parametrization(name):
    critic = make_critic()
    optimizer = OPTIMIZERS[name](critic.parameters())
    sn = SpectralNorm(critic, optimizer)
    assert sorted(sn.sigmas()) == sorted(NORMED)
    reference = Reference(critic, sn)
    reference_optimizer = OPTIMIZERS[name](reference.critic.parameters())
    start = critic.head.weight.clone()
    for x in make_inputs(20):
        for module, stepper in ((critic, optimizer), (reference.critic, reference_optimizer)):
            stepper.zero_grad()
            (module(x).tanh().sum() - module(-x).square().mean()).backward()
            stepper.step()
        reference.iterate()
        for layer in NORMED:
            ours, theirs = critic.get_submodule(layer).weight, reference.weight(layer)
            assert (ours - theirs).abs().max() < 1e-12, layer
    assert (critic.head.weight - start).abs().max() > 1e-2


def test_gradient_penalty_trajectory_equals_torchs_parametrization():
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer)
    reference = Reference(critic, sn)
    reference_optimizer = torch.optim.Adam(reference.critic.parameters(), lr=1e-2)
    for x in make_inputs(5):
        for module, stepper in ((critic, optimizer), (reference.critic, reference_optimizer)):
            point = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(module(point).sum(), point, create_graph=True)
            stepper.zero_grad()
            (module(x).mean() + (slope.flatten(1).norm(dim=1) - 1).square().mean()).backward()
            stepper.step()
        reference.iterate()
        for layer in NORMED:
            difference = critic.get_submodule(layer).weight - reference.weight(layer)
            assert difference.abs().max() < 1e-12


def test_mapped_gradient_equals_finite_differences():
    """σ is the exact norm here (a converged power iteration), so L(cW/σ(W)) can be perturbed."""
    torch.manual_seed(3)
    layer = nn.Conv2d(3, 4, 3).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    sn = SpectralNorm(layer, optimizer, coefficient=0.7, iterations=500)
    optimizer.zero_grad()
    layer(torch.ones(1, 3, 3, 3).double()).sum().backward()
    optimizer.step()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)

    def loss(raw: torch.Tensor) -> torch.Tensor:
        sigma = torch.linalg.svdvals(raw.flatten(1))[0]
        return nn.functional.conv2d(x, 0.7 * raw / sigma, layer.bias).square().sum()

    raw = (layer.weight * sn.sigmas()[""] / 0.7).detach()
    optimizer.zero_grad()
    layer(x).square().sum().backward()
    optimizer.step()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        direction = torch.randn(raw.shape, generator=generator, dtype=torch.float64)
        numeric = (loss(raw + 1e-6 * direction) - loss(raw - 1e-6 * direction)) / 2e-6
        assert (layer.weight.grad * direction).sum().item() == pytest.approx(
            numeric.item(), rel=1e-6, abs=1e-8
        )
    assert layer.weight.grad.abs().max() > 1e-2


def test_sigma_converges_to_the_dense_svd():
    critic = make_critic()
    raw_norms = {name: top_singular_value(critic.get_submodule(name)) for name in NORMED}
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.0)
    sn = SpectralNorm(critic, optimizer)
    for x in make_inputs(300, batch=2):
        optimizer.zero_grad()
        critic(x).sum().backward()
        optimizer.step()
    for name, sigma in sn.sigmas().items():
        assert sigma.item() == pytest.approx(raw_norms[name], rel=1e-6), name


@pytest.mark.parametrize("coefficient", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_every_step_leaves_weights_of_norm_c(coefficient, memory_format):
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 4, 2), nn.Flatten(), nn.LazyLinear(1)
    )
    critic(torch.zeros(1, 3, 12, 12))
    critic.to(memory_format=memory_format)
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4)
    SpectralNorm(critic, optimizer, coefficient=coefficient)
    for _ in range(30):
        optimizer.zero_grad()
        critic(torch.randn(4, 3, 12, 12)).sum().backward()
        optimizer.step()
        for layer in (critic[0], critic[2], critic[4]):
            assert top_singular_value(layer) == pytest.approx(coefficient, rel=0.05)
    assert critic[0].weight.is_contiguous(memory_format=memory_format)


def test_channels_last_and_contiguous_weights_train_alike():
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 3).double()
    striped = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    weights = []
    for layer in (plain, striped):
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(layer, optimizer)
        for _ in range(5):
            optimizer.zero_grad()
            layer(x).square().sum().backward()
            optimizer.step()
        weights.append(layer.weight.detach())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-12)


def test_reading_forward_and_eval_change_nothing():
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters())
    sn = SpectralNorm(critic, optimizer)
    before = copy.deepcopy((critic.state_dict(), sn.state_dict()))
    x = make_inputs(1)[0]
    first = critic(x)
    assert torch.equal(critic(x), first)
    assert torch.equal(critic.eval()(x), first)
    (first.sum() + critic(x).sum()).backward()
    sn.sigmas(), sn.singular_values()
    after = (critic.state_dict(), sn.state_dict())
    assert_identical(before, after)


def test_two_backwards_accumulate_like_one():
    results = []
    for parts in ((slice(0, 8),), (slice(0, 3), slice(3, 8))):
        critic = make_critic()
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        torch.manual_seed(2)
        SpectralNorm(critic, optimizer)
        x = make_inputs(1, batch=8)[0]
        for part in parts:
            critic(x[part]).sum().backward()
        optimizer.step()
        results.append(critic.head.weight.detach())
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-13)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_parameters_without_gradient_are_left(set_to_none):
    critic = make_critic()
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    sn = SpectralNorm(critic, optimizer)
    label = critic.label.weight.clone()
    optimizer.zero_grad(set_to_none=set_to_none)
    critic.head(torch.ones(1, 4).double()).sum().backward()
    head = critic.head.weight.clone()
    optimizer.step()
    assert torch.equal(critic.label.weight, label)
    assert not torch.equal(critic.head.weight, head)
    assert sn.sigmas()["label"].item() > 0


def test_frozen_layers_are_normalized_once_and_left():
    critic = make_critic()
    critic.body.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in critic.parameters() if p.requires_grad], lr=0.1)
    SpectralNorm(critic, optimizer, iterations=3)
    frozen = critic.body.weight.clone()
    assert top_singular_value(critic.body) == pytest.approx(1.0, rel=1e-2)
    critic(make_inputs(1)[0]).sum().backward()
    optimizer.step()
    assert torch.equal(critic.body.weight, frozen)


def test_tied_weights_have_one_norm():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, index):
            return self.out(self.embed(index))

    torch.manual_seed(0)
    model = Tied().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sn = SpectralNorm(model, optimizer, iterations=50)
    model(torch.arange(7)).square().sum().backward()
    optimizer.step()
    assert set(sn.sigmas()) == {"embed", "out"}
    assert sn.sigmas()["embed"] == sn.sigmas()["out"]
    assert top_singular_value(model.out) == pytest.approx(1.0, rel=1e-8)


def test_several_parameter_groups_keep_their_settings():
    critic = make_critic()
    optimizer = torch.optim.SGD(
        [
            {"params": critic.head.parameters(), "lr": 0.0},
            {"params": [p for n, p in critic.named_parameters() if not n.startswith("head")]},
        ],
        lr=0.1,
    )
    SpectralNorm(critic, optimizer, iterations=200)
    critic(make_inputs(1)[0]).sum().backward()
    head, body = critic.head.weight.clone(), critic.body.weight.clone()
    optimizer.step()
    torch.testing.assert_close(critic.head.weight, head, rtol=0, atol=1e-9)
    assert (critic.body.weight - body).abs().max() > 1e-3


def test_zero_layer_stays_zero_and_revives_when_it_is_moved():
    layer = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    sn = SpectralNorm(layer, optimizer)
    layer(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(layer.weight, torch.zeros(2, 3))
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.tensor([[1.0, 2.0, 2.0]])).sum().backward()
        optimizer.step()
    assert top_singular_value(layer) == pytest.approx(1.0, rel=1e-5)
    assert sn.sigmas()[""].item() > 1.0


def test_selection_by_name_type_and_predicate():
    def selected(layers):
        critic = make_critic()
        optimizer = torch.optim.Adam(critic.parameters())
        return set(SpectralNorm(critic, optimizer, layers=layers).sigmas())

    assert selected(["head", "plane.2.0"]) == {"head", "plane.2.0"}
    assert selected(nn.Linear) == {"head", "body"}
    assert selected((nn.Embedding, nn.Conv3d)) == {"label", "space.down"}
    assert selected(lambda name, layer: name.startswith("line") and hasattr(layer, "stride")) == {
        "line.0",
        "line.2",
    }


def test_state_dict_round_trip_continues_bit_for_bit():
    inputs = make_inputs(8)

    def build(seed):
        critic = make_critic(seed)
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        return critic, optimizer, SpectralNorm(critic, optimizer)

    def advance(critic, optimizer, batches):
        for x in batches:
            optimizer.zero_grad()
            critic(x).sum().backward()
            optimizer.step()

    critic, optimizer, sn = build(0)
    advance(critic, optimizer, inputs[:4])
    saved = pickle.dumps([part.state_dict() for part in (critic, optimizer, sn)])
    advance(critic, optimizer, inputs[4:])

    other, other_optimizer, other_sn = build(1)
    for part, state in zip((other, other_optimizer, other_sn), pickle.loads(saved), strict=True):
        part.load_state_dict(state)
    advance(other, other_optimizer, inputs[4:])
    for ours, theirs in zip(critic.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert all(torch.equal(sn.sigmas()[k], other_sn.sigmas()[k]) for k in NORMED)


def test_the_module_is_an_ordinary_network():
    critic = make_critic()
    names = list(critic.state_dict())
    optimizer = torch.optim.Adam(critic.parameters())
    SpectralNorm(critic, optimizer)
    x = make_inputs(1)[0]
    assert list(critic.state_dict()) == names
    assert torch.equal(copy.deepcopy(critic)(x), critic(x))
    assert torch.equal(pickle.loads(pickle.dumps(critic))(x), critic(x))


@pytest.mark.parametrize("copier", [copy.deepcopy, pickle.dumps])
def test_copies_of_the_hooks_are_refused(copier):
    layer = nn.Linear(2, 2)
    sn = SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    with pytest.raises(TypeError, match="state_dict"):
        copier(sn)


def test_remove_leaves_plain_normalized_weights():
    layer = nn.Linear(3, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0, weight_decay=0.0)
    sn = SpectralNorm(layer, optimizer)
    weight = layer.weight.clone()
    sn.remove()
    optimizer.param_groups[0]["lr"] = 0.1
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(layer.weight, weight - 0.1)
    SpectralNorm(layer, optimizer)


@pytest.mark.parametrize("wrap", [torch_spectral_norm, torch_spectral_norm_hook])
def test_networks_with_torchs_normalization_continue(wrap):
    critic = make_critic()
    for name in NORMED:
        wrap(critic.get_submodule(name))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    inputs = make_inputs(4)
    for x in inputs:
        optimizer.zero_grad()
        critic(x).sum().backward()
        optimizer.step()
    with torch.no_grad():
        critic(inputs[0])
    expected = critic.eval()(inputs[0]).detach()
    sn = SpectralNorm.from_parametrized(critic, optimizer)
    assert set(sn.sigmas()) == set(NORMED)
    assert not any(
        "orig" in n or "parametriz" in n or n.endswith("_u") for n in critic.state_dict()
    )
    torch.testing.assert_close(critic(inputs[0]), expected, rtol=0, atol=1e-12)
    optimizer.zero_grad()
    critic(inputs[1]).sum().backward()
    before = critic.head.weight.clone()
    optimizer.step()
    assert not torch.equal(critic.head.weight, before)
    assert set(critic.state_dict()) == set(make_critic().state_dict())


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_skipped_by_the_scaler_changes_nothing(fused):
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2, fused=fused)
    sn = SpectralNorm(critic, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def step(x):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = critic(x).sum()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    step(torch.ones(2, 3))
    before = copy.deepcopy([critic.state_dict(), sn.state_dict()])
    step(torch.full((2, 3), float("inf")))
    assert_identical(before, [critic.state_dict(), sn.state_dict()])
    step(torch.ones(2, 3))
    assert not torch.equal(before[0]["0.weight"], critic[0].weight)
    for layer in (critic[0], critic[2]):
        assert top_singular_value(layer) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scaled_half_precision_training_follows_the_unscaled(dtype):
    """A loss scale of 1024, unscaled before or inside the step, gives the unscaled trajectory."""
    results = []
    for scale, fused in ((None, False), (1024.0, False), (1024.0, True)):
        torch.manual_seed(0)
        critic = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1, fused=fused)
        SpectralNorm(critic, optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        for _ in range(5):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=dtype):
                loss = critic(torch.randn(4, 5)).float().sum()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        results.append(critic[0].weight.detach())
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=1e-2, atol=1e-3)


def test_power_iteration_runs_outside_autocast():
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sn = SpectralNorm(layer, optimizer, iterations=100)
        layer(torch.ones(1, 64)).float().sum().backward()
        optimizer.step()
    raw = layer.weight * sn.sigmas()[""]
    assert sn.sigmas()[""].item() == pytest.approx(torch.linalg.svdvals(raw)[0].item(), rel=1e-5)


def test_power_iteration_runs_without_tf32():
    """Which cuDNN's convolutions use unless told otherwise, and which has ten bits only."""
    convolutions = torch.backends.cudnn.conv
    seen = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if "convolution" in str(function):
                seen.append(convolutions.fp32_precision)
            return function(*args, **(kwargs or {}))

    layer = nn.Conv2d(2, 3, 3, padding=1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    usual = convolutions.fp32_precision
    SpectralNorm(layer, optimizer, kind="operator", input_shape=(2, 8, 8))
    layer(torch.ones(1, 2, 8, 8)).sum().backward()
    with Watching():
        optimizer.step()
    # Wᵀu and the derivative before the step, Wv and Wᵀu after it
    assert seen == ["ieee"] * 4
    assert convolutions.fp32_precision == usual != "ieee"


def test_clipping_before_the_step_acts_on_the_normalized_weights_gradient():
    critic = make_critic()
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    SpectralNorm(critic, optimizer)
    critic(make_inputs(1)[0]).sum().backward()
    nn.utils.clip_grad_norm_(critic.parameters(), 0.0)
    weights = [p.clone() for p in critic.parameters()]
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    for weight, parameter in zip(weights, critic.parameters(), strict=True):
        torch.testing.assert_close(weight, parameter, rtol=0, atol=0.2)


def test_closure_that_is_called_once_equals_a_plain_step():
    results = []
    for with_closure in (False, True):
        critic = make_critic()
        optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(critic, optimizer)
        for x in make_inputs(3):

            def closure(x=x, critic=critic, optimizer=optimizer):
                optimizer.zero_grad()
                loss = critic(x).square().sum()
                loss.backward()
                return loss

            returned = optimizer.step(closure) if with_closure else (closure(), optimizer.step())[0]
        results.append((critic.body.weight.detach(), returned.detach()))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


class TwoEvaluations(torch.optim.SGD):
    """Like sharpness-aware minimization: the loss is evaluated again in the middle of a step."""

    def step(self, closure):
        closure()
        super().step()
        return closure()


def test_closure_that_is_called_twice_is_an_error_and_keeps_the_norm():
    layer = nn.Linear(3, 3)
    optimizer = TwoEvaluations(layer.parameters(), lr=0.0)
    SpectralNorm(layer, optimizer, iterations=100)

    def closure():
        loss = layer(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="expected one evaluation"):
        optimizer.step(closure)
    assert top_singular_value(layer) == pytest.approx(1.0, rel=1e-3)


def test_compiled_critic_sees_the_normalized_weights():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    twin = copy.deepcopy(critic)
    compiled = torch.compile(critic)
    for module, forward in ((critic, compiled), (twin, twin)):
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
        torch.manual_seed(1)
        SpectralNorm(module, optimizer)
        for x in torch.linspace(-1, 1, 80).view(10, 2, 4):
            optimizer.zero_grad()
            forward(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(critic[0].weight, twin[0].weight, rtol=1e-5, atol=1e-6)


def other_optimizer(layer):
    first = torch.optim.SGD(layer.parameters(), lr=0.1)
    SpectralNorm(layer, first)
    return SpectralNorm(layer, torch.optim.SGD(layer.parameters(), lr=0.1))


def with_sgd(module, **options):
    return SpectralNorm(module, torch.optim.SGD(module.parameters(), lr=0.1), **options)


REFUSED = {
    "two optimizers": (other_optimizer, "without another SpectralNorm"),
    "outside the optimizer": (
        lambda layer: SpectralNorm(layer, torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)),
        "optimizer: expected every trainable weight",
    ),
    "lbfgs": (lambda layer: SpectralNorm(layer, torch.optim.LBFGS(layer.parameters())), "LBFGS"),
    "no optimizer": (lambda layer: SpectralNorm(layer, "adam"), "expected a torch.optim"),
    "kind": (lambda layer: with_sgd(layer, kind="matrx"), "did you mean matrix"),
    "coefficient": (lambda layer: with_sgd(layer, coefficient=0.0), "coefficient: expected"),
    "iterations": (lambda layer: with_sgd(layer, iterations=0), "iterations: expected"),
    "no layer": (lambda layer: with_sgd(nn.Sequential(layer), layers=nn.Conv2d), "layers: exp"),
    "unknown name": (lambda layer: with_sgd(nn.Sequential(layer), layers=["1"]), "layers: exp"),
    "a bare name": (lambda layer: with_sgd(nn.Sequential(layer), layers="0"), "list of names"),
    "no matrix": (
        lambda layer: with_sgd(nn.Sequential(layer, nn.BatchNorm1d(2)), layers=["1"]),
        "a BatchNorm1d",
    ),
    "parametrized": (lambda layer: with_sgd(torch_spectral_norm(layer)), "from_parametrized"),
    "half": (lambda layer: with_sgd(layer.bfloat16()), "float32 or float64"),
    "not parametrized": (
        lambda layer: SpectralNorm.from_parametrized(
            layer, torch.optim.SGD(layer.parameters(), lr=0.1)
        ),
        "torch's spectral normalization",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_argument_expected_and_got(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        make(nn.Linear(2, 2))
    assert "expected" in str(error.value)
    assert "got" in str(error.value)


def test_tied_weight_read_in_two_ways_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 3, 2), nn.ConvTranspose2d(3, 3, 2))
    model[1].weight = model[0].weight
    with pytest.raises(ValueError, match="its transpose"):
        with_sgd(model)


@pytest.mark.parametrize("change", ["layers", "shape", "coefficient"])
def test_foreign_state_is_refused(change):
    sn = with_sgd(nn.Linear(2, 3))
    state = copy.deepcopy(sn.state_dict())
    if change == "layers":
        state["layers"]["other"] = state["layers"].pop("")
    elif change == "shape":
        state["layers"][""]["u"] = torch.ones(5)
    else:
        state["coefficient"] = 2.0
    before = sn.state_dict()
    with pytest.raises(ValueError, match="state: expected"):
        sn.load_state_dict(state)
    assert_identical(before, sn.state_dict())
