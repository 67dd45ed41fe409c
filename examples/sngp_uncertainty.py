"""How does a classifier notice that a point is far from all that it was trained on?

A softmax classifier is sure of itself nearly everywhere, also far from the data. SNGP (Liu et al.
2020, arXiv:2006.10108) is not. Its residual layers have a spectral norm of at most 0.9, so features
keep the distances of points, and its head is a Gaussian process, made of random cosines, whose
variance grows away from the data. `SpectralNorm(..., bound="at_most")` does the first part.

Run: python examples/sngp_uncertainty.py  (about 10 s on two CPU cores)
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

from sngan import SpectralNorm

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
torch.manual_seed(0)
angle = torch.pi * torch.rand(600)
arc = torch.stack([angle.cos(), angle.sin()], 1)
x = torch.cat([arc[:300] - torch.tensor([0.5, 0.25]), torch.tensor([0.5, 0.25]) - arc[300:]])
x, y = x + 0.1 * torch.randn(600, 2), torch.arange(600) // 300
lift = torch.linalg.qr(torch.randn(64, 2))[0]  # keeps distances
frequencies, phases = torch.randn(64, 1024), 2 * torch.pi * torch.rand(1024)


def features(layers, points):
    h = points @ lift.T
    for layer in layers:
        h = h + torch.relu(layer(h))
    return h


def cosines(h):  # their inner products are the kernel exp(-|h - h'|²/2), approximately
    return (2 / 1024) ** 0.5 * (h @ frequencies + phases).cos()


def trained(is_sngp):
    layers, head = nn.ModuleList(nn.Linear(64, 64) for _ in range(4)), nn.Linear(64, 1)
    if is_sngp:
        head = nn.Sequential(nn.Linear(1024, 1, bias=False))
    optimizer = torch.optim.Adam([*layers.parameters(), *head.parameters()], 5e-3)
    if is_sngp:
        SpectralNorm(layers, optimizer, coefficient=0.9, bound="at_most")
    for _ in range(400):
        h = features(layers, x)
        scores = head(cosines(h) if is_sngp else h)[:, 0]
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(scores, y.float()).backward()
        optimizer.step()
    return layers.requires_grad_(False), head.requires_grad_(False)


def confidence(layers, head, points, is_sngp):
    h = features(layers, points)
    if not is_sngp:
        return head(h)[:, 0].sigmoid()
    data = cosines(features(layers, x))  # the Laplace approximation: precision of the weights
    p = head(data).sigmoid()
    covariance = torch.linalg.inv(torch.eye(1024) + data.T @ (p * (1 - p) * data))
    phi = cosines(h)
    variance = ((phi @ covariance) * phi).sum(1)
    return (head(phi)[:, 0] / (1 + torch.pi / 8 * variance).sqrt()).sigmoid()


far = 6 * torch.stack([torch.linspace(0, 6.28, 200).cos(), torch.linspace(0, 6.28, 200).sin()], 1)
ticks = torch.linspace(-5, 5, 121)
grid = torch.cartesian_prod(ticks, ticks)
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for panel, (name, is_sngp) in zip(axes, (("softmax", False), ("SNGP", True)), strict=True):
    parts = trained(is_sngp)
    at_data, at_far, at_grid = (confidence(*parts, points, is_sngp) for points in (x, far, grid))
    right = ((at_data > 0.5) == y).float().mean()
    sure = [torch.maximum(p, 1 - p).mean() for p in (at_data, at_far)]
    print(
        f"{name:8s} accuracy {right:.3f}, sure by {sure[0]:.3f} at the data, {sure[1]:.3f} far away"
    )
    drawn = panel.contourf(
        ticks, ticks, at_grid.view(121, 121).T, 20, cmap="RdBu_r", vmin=0, vmax=1
    )
    panel.scatter(*x.T, s=3, c=y, cmap="PiYG")
    panel.set(title=f"{name}: probability of class 1", aspect="equal", xlabel="x₁", ylabel="x₂")
figure.colorbar(drawn, ax=axes)
plt.savefig(FOLDER / "sngp_uncertainty.png", dpi=100)
