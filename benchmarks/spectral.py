"""Time of one critic step under a Lipschitz constraint, as a ratio to a step without one.

Each round runs one step of every contender in turn, in one process; the table shows medians over
the rounds and the median of the per-round ratios, so that a slow moment hits all contenders.

    python -m benchmarks.spectral [--rounds N] [--json FILE] [--sizes NAME ...]
                                  [--contenders NAME ...]
"""

import copy
from collections.abc import Callable, Collection
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils import spectral_norm as old_hook
from torch.nn.utils.parametrizations import spectral_norm as parametrization

from benchmarks.common import (
    argument_parser,
    interleaved,
    median_ratios,
    medians,
    versions,
    write_json,
)
from sngan import SpectralNorm, losses, models, penalties
from sngan.utils.supported_layers import LAYERS

Step = Callable[[Tensor, Tensor], None]


class Bjorck(nn.Module):
    """Orthogonal rows (or columns) of the reshaped kernel, as deel-torchlip keeps its layers.

    In every forward pass: three power iterations, then 15 steps ``W ← 3/2 W − 1/2 W Wᵀ W``
    (Björck, Bowie 1971; Anil et al. 2019, arXiv:1811.05381).
    """

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        v = torch.ones_like(matrix[0])
        with torch.no_grad():
            for _ in range(3):
                u = matrix.mv(v)
                v = matrix.t().mv(u / u.norm())
                v = v / v.norm()
        matrix = matrix / matrix.mv(v).norm()
        is_wide = matrix.shape[0] <= matrix.shape[1]
        for _ in range(15):
            if is_wide:
                matrix = 1.5 * matrix - 0.5 * (matrix @ matrix.t()) @ matrix
            else:
                matrix = 1.5 * matrix - 0.5 * matrix @ (matrix.t() @ matrix)
        return matrix.view_as(weight)


CONTENDERS = (
    "none",
    "sngan matrix",
    "sngan operator",
    "sngan operator strict",
    "torch parametrization",
    "torch old hook",
    "Björck",
    "wgan-gp penalty",
)

SIZES: dict[str, tuple[str, tuple[int, ...], float, int]] = {
    "mlp, batch 256": ("mlp", (2,), 1.0, 256),
    "cnn 8x8, batch 64": ("cnn", (1, 8, 8), 1.0, 64),
    "cnn 32x32 width 1/4, batch 16": ("cnn", (3, 32, 32), 0.25, 16),
    "cnn 32x32, batch 64": ("cnn", (3, 32, 32), 1.0, 64),
    "resnet 32x32, batch 64": ("resnet", (3, 32, 32), 1.0, 64),
}


def contenders(critic: nn.Module, shape: tuple[int, ...]) -> dict[str, Step]:
    """Build one critic step for each way to constrain a copy of ``critic``."""
    steps = {"none": plain_step(copy.deepcopy(critic))}
    for name, options in (
        ("sngan matrix", {}),
        ("sngan operator", {"kind": "operator", "input_shape": shape}),
        ("sngan operator strict", {"kind": "operator", "input_shape": shape, "strict": True}),
    ):
        normalized = copy.deepcopy(critic)
        optimizer = adam(normalized)
        SpectralNorm(normalized, optimizer, **options)
        steps[name] = plain_step(normalized, optimizer=optimizer)
    for name, wrap in (
        ("torch parametrization", parametrization),
        ("torch old hook", old_hook),
        ("Björck", lambda layer: parametrize.register_parametrization(layer, "weight", Bjorck())),
    ):
        wrapped = copy.deepcopy(critic)
        for layer in list(wrapped.modules()):
            if isinstance(layer, LAYERS):
                wrap(layer)
        steps[name] = plain_step(wrapped)
    steps["wgan-gp penalty"] = plain_step(copy.deepcopy(critic), penalized=True)
    return steps


def adam(critic: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.0, 0.9))


def plain_step(
    critic: nn.Module,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    penalized: bool = False,
) -> Step:
    """One hinge step on a real and a fake batch, each in a forward pass of its own."""
    stepper = optimizer or adam(critic)

    def step(real: Tensor, fake: Tensor) -> None:
        stepper.zero_grad()
        loss = losses.hinge.critic(critic(real), critic(fake))
        if penalized:
            loss = loss + 10 * penalties.wgan_gp(critic, real, fake)
        loss.backward()
        stepper.step()

    return step


def measure(size: str, *, rounds: int, names: Collection[str]) -> dict[str, dict[str, float]]:
    """Return ``{contender: {"seconds": …, "ratio": …}}`` for one network size."""
    name, shape, width, batch = SIZES[size]
    torch.manual_seed(0)
    _, critic = models.build(name, shape, width=width)
    steps = {k: v for k, v in contenders(critic, shape).items() if k in names}
    real, fake = torch.randn(2, batch, *shape).tanh()
    jobs = {contender: partial(step, real, fake) for contender, step in steps.items()}
    taken = interleaved(jobs, rounds=rounds, warm_up=2)
    return {
        contender: {
            "seconds": medians(times).wall,
            "ratio": median_ratios(times, taken["none"]).wall,
        }
        for contender, times in taken.items()
    }


def main() -> None:
    parser = argument_parser(__doc__, "spectral")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    arguments = parser.parse_args()
    results = {}
    print(f"{versions()}; ms per critic step (ratio)")
    for size in arguments.sizes:
        small = SIZES[size][0] == "mlp" or SIZES[size][2] < 1 or SIZES[size][1][-1] < 16
        results[size] = measure(
            size,
            rounds=arguments.rounds * (10 if small else 1),
            names={"none", *arguments.contenders},
        )
        cells = (
            f"{contender} {1000 * r['seconds']:.2f} ({r['ratio']:.3f})"
            for contender, r in results[size].items()
        )
        print(f"{size}: {', '.join(cells)}", flush=True)
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
