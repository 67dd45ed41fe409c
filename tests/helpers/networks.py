"""Small networks, and Lipschitz constants of networks by brute force."""

import copy
import itertools

import torch
from torch import nn

from sngan.lipschitz import lipschitz_bounds

ACTIVATIONS = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.LeakyReLU(3.0), nn.LeakyReLU(-2.0), nn.Hardtanh(),
    nn.Tanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Hardsigmoid(), nn.GELU(), nn.GELU("tanh"),
    nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.ELU(), nn.ELU(2.5), nn.ELU(-1.5), nn.CELU(0.3),
    nn.SELU(), nn.Softplus(), nn.Softplus(beta=3.0), nn.Softsign(), nn.Tanhshrink(),
    nn.Softshrink(), nn.PReLU(init=0.3), nn.PReLU(init=-2.5), nn.RReLU(0.5, 3.0),
]  # fmt: skip


class Fn(nn.Module):
    """A function as a module, with an optional submodule ``inner``."""

    def __init__(self, function, inner=None):
        super().__init__()
        self.function, self.inner = function, inner

    def forward(self, x):
        return self.function(x) if self.inner is None else self.function(x, self.inner)


def jacobian_norm(module, point):
    module = copy.deepcopy(module).double().eval()
    jacobian = torch.autograd.functional.jacobian(lambda x: module(x).flatten(), point[None])
    return torch.linalg.matrix_norm(jacobian.flatten(1), 2).item()


def quick(module, shape, **options):
    return lipschitz_bounds(module, shape, **{"samples": 48, "rounds": 4, **options})


def upper(module, shape):
    return lipschitz_bounds(module, shape, lower=False).upper


class Residual(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x)


def relu_network(sizes, slope=0.0):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1]).double()


def over_patterns(network, slope):
    """The largest Jacobian norm over all activation patterns, reachable or not."""
    weights = [layer.weight.detach() for layer in network if isinstance(layer, nn.Linear)]
    units = [len(weight) for weight in weights[:-1]]
    best = 0.0
    for pattern in itertools.product([slope, 1.0], repeat=sum(units)):
        gates = torch.tensor(pattern, dtype=torch.float64).split(units)
        product = weights[0]
        for gate, weight in zip(gates, weights[1:], strict=True):
            product = weight @ (gate[:, None] * product)
        best = max(best, torch.linalg.matrix_norm(product, 2).item())
    return best


def on_grid(network, extent=6.0, side=201):
    """The largest gradient norm of a network of two inputs and one output on a dense grid."""
    line = torch.linspace(-extent, extent, side).double()
    points = torch.cartesian_prod(line, line).requires_grad_()
    (gradient,) = torch.autograd.grad(network(points).sum(), points)
    return gradient.norm(dim=1).max().item()
