"""Penalties through attention, whose fast kernels have no second derivative."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from sngan import METHODS, Config, data
from sngan.config import ModelConfig
from sngan.engine import TrainState, critic_step
from sngan.models import MODELS, Critic, MLPGenerator
from sngan.penalties import PENALTIES, r1

WIDTH = 4


class SelfAttention(nn.Module):
    """``scaled_dot_product_attention`` called by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (t[:, None] for t in self.inputs(x).chunk(3, -1))
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)[:, 0]


class WithoutWeights(nn.MultiheadAttention):
    """Multi-head attention as transformers call it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, x, x, need_weights=False)[0]


class Decoder(nn.TransformerDecoderLayer):
    """A decoder layer that attends to its own input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, x)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "encoder": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 6, dropout=0.0, batch_first=True),
    "encoder with dropout": lambda: nn.TransformerEncoderLayer(WIDTH, 2, 6, 0.2, batch_first=True),
    "encoder norm first": lambda: nn.TransformerEncoderLayer(
        WIDTH, 2, 6, 0.0, "gelu", batch_first=True, norm_first=True
    ),
    "decoder": lambda: Decoder(WIDTH, 2, 6, dropout=0.0, batch_first=True),
    "multi-head": lambda: WithoutWeights(WIDTH, 2, batch_first=True),
    "by hand": SelfAttention,
}


class Attending(Critic):
    """Scores of points, read as sequences of one number each."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(features=WIDTH, num_classes=0)
        self.embed, self.layer, self.last = nn.Linear(1, WIDTH), layer, nn.Linear(WIDTH, 1)

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is None
        places = torch.arange(points.shape[1], dtype=points.dtype)[:, None]
        features = torch.tanh(self.layer(self.embed(points[..., None]) + places)).mean(1)
        return self.projected(self.last(features), features, None)


def make_critic(case: str, *, is_training: bool = True) -> Attending:
    torch.manual_seed(4)
    return Attending(LAYERS[case]()).double().train(is_training)


def batches() -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)


def penalty_of_weights(critic: nn.Module, name: str) -> Callable[..., Tensor]:
    names = [name for name, _ in critic.named_parameters()]
    real, fake = batches()

    def penalty(*values: Tensor) -> Tensor:
        # one seed for the interpolated points and for dropout
        torch.manual_seed(5)
        weights = dict(zip(names, values, strict=True))
        return PENALTIES[name](lambda x: functional_call(critic, weights, x), real, fake)

    return penalty


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("case", LAYERS)
def test_gradient_through_attention_is_that_of_finite_differences(
    case: str, is_training: bool
) -> None:
    critic = make_critic(case, is_training=is_training)
    penalty = penalty_of_weights(critic, "r1")
    assert torch.autograd.gradcheck(penalty, tuple(critic.parameters()), fast_mode=True)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_differentiates_attention(name: str) -> None:
    critic = make_critic("encoder")
    penalty = penalty_of_weights(critic, name)
    assert torch.autograd.gradcheck(penalty, tuple(critic.parameters()), fast_mode=True)


def test_the_choice_of_kernels_is_given_back() -> None:
    """A penalty uses the math kernel, and afterwards the choice of the caller holds again."""
    critic, (real, fake) = make_critic("by hand"), batches()
    x = real.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        r1(critic, real, fake)
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="derivative"):
            gradient.sum().backward()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_trainer_takes_steps_of_a_critic_that_attends(penalty, tmp_path, monkeypatch) -> None:
    def build(sample_shape, *, latent_dim, **_):
        generator = MLPGenerator(latent_dim=latent_dim, hidden=[8], dim=sample_shape[0])
        return generator, Attending(LAYERS["encoder"]())

    monkeypatch.setitem(MODELS, "attending", build)
    settings = replace(METHODS["r1"], penalty=penalty, penalty_weight=10.0)
    model = ModelConfig(name="attending", latent_dim=4, sample_shape=(2,))
    config = Config(out=str(tmp_path), data="ring8", method=settings, model=model, batch_size=8)
    state = TrainState.build(config, data.open_source("ring8"))
    before = state.critic.module.layer.self_attn.in_proj_weight.clone()
    for _ in range(2):
        terms = critic_step(config, state, state.sampler.take())
    assert all(value.isfinite() for value in terms.values())
    # wgan-lp is 0 for slopes below 1
    assert terms["penalty"] > 0 or penalty == "wgan-lp"
    assert not torch.equal(before, state.critic.module.layer.self_attn.in_proj_weight)
