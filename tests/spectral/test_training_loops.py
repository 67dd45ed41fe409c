"""Training loops of common frameworks and papers, each with a known difficulty.

After each of them, the norms of the weights are near one, and ``sigmas()`` is right.
"""

import copy
import importlib.util
import itertools

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from helpers.critics import dense_matrix, top_singular_value
from helpers.optimizers import Accelerated
from sngan import SpectralNorm, losses, penalties
from sngan.utils.supported_layers import LAYERS


def normalized_layers(network: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in network.named_modules() if isinstance(m, LAYERS)}


def assert_true(sn: SpectralNorm, network: nn.Module, rel: float = 0.05) -> None:
    """Every norm is near one, and σ is that of the raw weight."""
    sigmas = sn.sigmas()
    layers = normalized_layers(network)
    assert set(sigmas) == set(layers)
    for name, layer in layers.items():
        assert top_singular_value(layer) == pytest.approx(1.0, rel=rel), name
        raw = dense_matrix(layer) * sigmas[name]
        assert torch.linalg.svdvals(raw)[0].item() == pytest.approx(sigmas[name].item(), rel=rel)


def generator_of() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 32), nn.ReLU(), nn.Unflatten(1, (8, 2, 2)),
        nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def critic_of() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(6, 8, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(32, 1),
    )  # fmt: skip


def points() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)
    )


def images(n: int = 8) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8) * 2 - 1


def adam(*networks: nn.Module, lr: float = 5e-4) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        itertools.chain(*(network.parameters() for network in networks)), lr=lr, betas=(0.0, 0.9)
    )


def test_dcgan_with_weights_that_are_drawn_after_wrapping():
    """``weights_init`` of the DCGAN example writes ``weight.data``, often at the very end."""
    torch.manual_seed(0)
    generator, critic = generator_of(), critic_of()
    optimizers = adam(generator), adam(critic, lr=5e-5)
    sn = SpectralNorm(critic, optimizers[1], iterations=10)

    def draw(layer):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data.normal_(0.0, 0.02)

    critic.apply(draw)
    label = torch.full((8,), 1.0)
    for _ in range(15):
        critic.zero_grad()
        F.binary_cross_entropy_with_logits(critic(images()).view(-1), label).backward()
        fake = generator(torch.randn(8, 4))
        F.binary_cross_entropy_with_logits(critic(fake.detach()).view(-1), 1 - label).backward()
        optimizers[1].step()
        generator.zero_grad()
        F.binary_cross_entropy_with_logits(critic(fake).view(-1), label).backward()
        optimizers[0].step()
    assert_true(sn, critic)


def test_wgan_gp_differentiates_the_critic_twice():
    torch.manual_seed(0)
    generator, critic = generator_of(), critic_of()
    optimizers = adam(generator), adam(critic)
    sn = SpectralNorm(critic, optimizers[1], iterations=5)
    for _ in range(6):
        for _ in range(3):
            real, fake = images(), generator(torch.randn(8, 4)).detach()
            loss = losses.wasserstein.critic(critic(real), critic(fake))
            optimizers[1].zero_grad()
            (loss + 10 * penalties.wgan_gp(critic, real, fake)).backward()
            optimizers[1].step()
        optimizers[0].zero_grad()
        losses.wasserstein.generator(critic(generator(torch.randn(8, 4)))).backward()
        optimizers[0].step()
    assert_true(sn, critic)


class Projection(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = critic_of()[:-1]
        self.head, self.label = nn.Linear(32, 1), nn.Embedding(5, 32)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        hidden = self.features(x)
        return self.head(hidden).squeeze(1) + (self.label(y) * hidden).sum(1)


def test_projection_gan_normalizes_the_embedding_too():
    torch.manual_seed(0)
    critic = Projection()
    optimizer = adam(critic)
    sn = SpectralNorm(critic, optimizer)
    for _ in range(15):
        labels = torch.randint(5, (8,))
        optimizer.zero_grad()
        losses.hinge.critic(critic(images(), labels), critic(-images(), labels)).backward()
        optimizer.step()
    assert "label" in sn.sigmas()
    assert_true(sn, critic)


def test_r1_and_an_average_that_is_evaluated_in_between_change_nothing():
    """Lazy R1, and averages of both networks that are swapped in for evaluations."""

    def trained(*, evaluate: bool) -> tuple[nn.Module, SpectralNorm]:
        torch.manual_seed(0)
        critic = critic_of()
        optimizer = adam(critic)
        sn = SpectralNorm(critic, optimizer)
        average = AveragedModel(critic, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        for step in range(12):
            real = images().requires_grad_()
            scores = critic(real)
            loss = F.softplus(-scores).mean() + F.softplus(critic(-real.detach())).mean()
            if step % 4 == 0:
                (slope,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
                loss = loss + 5 * slope.square().sum((1, 2, 3)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(critic)
            if evaluate and step % 3 == 2:
                kept = copy.deepcopy(critic.state_dict())
                critic.load_state_dict(average.module.state_dict())
                critic.eval()(real.detach())
                critic.load_state_dict(kept)
                critic.train()
        return critic, sn

    plain, sn = trained(evaluate=False)
    evaluated, _ = trained(evaluate=True)
    for left, right in zip(plain.parameters(), evaluated.parameters(), strict=True):
        assert torch.equal(left, right)
    assert_true(sn, plain)


class Automatic:
    """Lightning's order of calls: ``optimizer.step(closure)`` runs the backward pass."""

    def __init__(self, critic: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.critic, self.optimizer = critic, optimizer

    def fit(self, batches: list[torch.Tensor]) -> None:
        for batch in batches:

            def closure(batch=batch):
                loss = self.critic(batch).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                return loss

            self.optimizer.step(closure=closure)


def test_lightnings_automatic_optimization_passes_the_backward_pass_as_a_closure():
    critics = []
    for is_automatic in (True, False):
        torch.manual_seed(0)
        critic = critic_of()
        optimizer = adam(critic)
        sn = SpectralNorm(critic, optimizer)
        batches = [images() for _ in range(8)]
        if is_automatic:
            Automatic(critic, optimizer).fit(batches)
        else:
            for batch in batches:
                optimizer.zero_grad()
                critic(batch).square().mean().backward()
                optimizer.step()
        assert_true(sn, critic)
        critics.append(critic)
    assert torch.equal(critics[0][0].weight, critics[1][0].weight)


def test_lightnings_manual_optimization_wraps_both_optimizers():
    """With Fabric, which Lightning is built on: its wrappers, its backward, both optimizers."""
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1)
    generator, critic = generator_of(), critic_of()
    generator, generator_optimizer = fabric.setup(generator, adam(generator))
    critic, critic_optimizer = fabric.setup(critic, adam(critic))
    sn = SpectralNorm(critic.module, critic_optimizer)
    for _ in range(10):
        fake = generator(torch.randn(8, 4))
        critic_optimizer.zero_grad()
        fabric.backward(losses.hinge.critic(critic(images()), critic(fake.detach())))
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        fabric.backward(losses.hinge.generator(critic(fake)))
        generator_optimizer.step()
    assert_true(sn, critic.module)


@pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None,
    reason="accelerate is not installed; the next test has a class with the same attributes",
)
def test_accelerates_prepared_optimizer():
    from accelerate import Accelerator

    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    critic = critic_of()
    critic, optimizer = accelerator.prepare(critic, adam(critic))
    sn = SpectralNorm(critic, optimizer)
    for _ in range(8):
        optimizer.zero_grad()
        accelerator.backward(critic(images()).square().mean())
        optimizer.step()
    assert_true(sn, critic)


@pytest.mark.parametrize("order", ["wrap, then normalize", "normalize, then wrap"])
def test_accelerates_optimizer_has_no_hooks_of_its_own(order):
    torch.manual_seed(0)
    critic = critic_of()
    optimizer = adam(critic)
    wrapped = Accelerated(optimizer)
    sn = SpectralNorm(critic, wrapped if order.startswith("wrap") else optimizer)
    for _ in range(8):
        wrapped.zero_grad()
        critic(images()).square().mean().backward()
        wrapped.step()
    assert_true(sn, critic)
    assert "spectral_norm" in wrapped.state_dict()["param_groups"][0]


@pytest.mark.parametrize("fused", [False, True])
def test_grad_scaler_with_clipping_skips_steps_that_overflow(fused):
    torch.manual_seed(0)
    critic = critic_of()
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, fused=fused)
    sn = SpectralNorm(critic, optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    for step in range(12):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = critic(images()).float().square().mean() * (float("inf") if step == 5 else 1)
        scaler.scale(loss).backward()
        before = critic[0].weight.clone()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(before, critic[0].weight) == (step == 5)
    assert_true(sn, critic)


def test_accumulated_gradients_are_those_of_one_large_batch():
    trained = []
    for parts in (1, 4):
        torch.manual_seed(0)
        critic = critic_of().double()
        optimizer = adam(critic)
        sn = SpectralNorm(critic, optimizer)
        for _ in range(5):
            optimizer.zero_grad()
            for part in images(8).double().chunk(parts):
                (critic(part).square().mean() / parts).backward()
            optimizer.step()
        assert_true(sn, critic)
        trained.append(critic[0].weight)
    torch.testing.assert_close(trained[0], trained[1], rtol=1e-9, atol=1e-11)


def test_twin_critics_of_reinforcement_learning_share_one_optimizer():
    """Two critics in one optimizer, each normalized; targets follow by an average."""
    torch.manual_seed(0)
    critics = nn.ModuleList([points(), points()])
    targets = copy.deepcopy(critics).requires_grad_(False)
    optimizer = adam(*critics, lr=1e-3)
    norms = [SpectralNorm(critic, optimizer, iterations=5) for critic in critics]
    for _ in range(30):
        state = torch.randn(32, 2)
        with torch.no_grad():
            goal = 0.9 * torch.minimum(*(t(state) for t in targets)) + state.sum(1, keepdim=True)
        loss = sum(F.mse_loss(critic(state), goal) for critic in critics)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for target, parameter in zip(targets.parameters(), critics.parameters(), strict=True):
                target.lerp_(parameter, 0.05)
    for sn, critic in zip(norms, critics, strict=True):
        # two singular values cross here; power iteration needs some steps to follow the new one
        assert_true(sn, critic, rel=0.1)
    assert not torch.equal(critics[0][0].weight, critics[1][0].weight)


def test_generator_and_critic_in_one_optimizer_with_two_learning_rates():
    torch.manual_seed(0)
    generator, critic = generator_of(), critic_of()
    optimizer = torch.optim.Adam(
        [{"params": generator.parameters(), "lr": 1e-4}, {"params": critic.parameters()}], lr=4e-4
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    sn = SpectralNorm(critic, optimizer)
    for _ in range(8):
        optimizer.zero_grad()
        losses.hinge.critic(critic(images()), critic(generator(torch.randn(8, 4)))).backward()
        optimizer.step()
        scheduler.step()
    assert_true(sn, critic)
