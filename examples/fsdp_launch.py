"""How do I use spectral normalization with FSDP?

Call `fully_shard`, make the optimizer, then `SpectralNorm`: in this order, on every rank. This
script starts two processes on the CPU by itself; each holds half of every weight. Their run equals
that of one process: the same σ of every layer after every step, and the same weights at the end.

Run: python examples/fsdp_launch.py  (about 15 s on two CPU cores)
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

from sngan import SpectralNorm, losses

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
STEPS, BATCH = 60, 64


def train(rank=0, ranks=1):
    torch.manual_seed(0)  # the same weights and data everywhere; each rank takes its rows
    critic = nn.Sequential(
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    if ranks > 1:
        for layer in critic[::2]:
            fully_shard(layer)
        fully_shard(critic)
    optimizer = torch.optim.Adam(critic.parameters(), 2e-4, (0.0, 0.9))
    sn = SpectralNorm(critic, optimizer)
    sigmas = []
    for _ in range(STEPS):
        real, fake = torch.randn(BATCH, 8) + 1, torch.randn(BATCH, 8)
        optimizer.zero_grad()
        losses.hinge.critic(critic(real[rank::ranks]), critic(fake[rank::ranks])).backward()
        optimizer.step()
        sigmas.append(torch.stack(list(sn.sigmas().values())))
    here = sum(p.to_local().numel() if ranks > 1 else p.numel() for p in critic.parameters())
    weights = [p.full_tensor() if ranks > 1 else p for p in critic.parameters()]
    return torch.stack(sigmas), [weight.detach() for weight in weights], here


def work(rank, ranks, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=ranks
    )
    found = train(rank, ranks)
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (2, folder), nprocs=2)
        sharded, weights, here = torch.load(f"{folder}/found.pt")
    alone, expected, total = train()
    error = max(float((a - b).abs().max()) for a, b in zip(weights, expected, strict=True))
    norms = [float(torch.linalg.matrix_norm(weight, 2)) for weight in weights[::2]]
    print(f"numbers held by rank 0: {here} of {total}")
    print(f"norms of the weights: {min(norms):.6f} to {max(norms):.6f}")
    print(f"largest difference from one process: sigma {(sharded - alone).abs().max():.1e}, "
          f"weights {error:.1e}")  # fmt: skip
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for layer, colour in enumerate(("#2563eb", "#ea580c", "#16a34a")):
        axes.plot(
            alone[:, layer], color=colour, lw=5, alpha=0.3, label=f"layer {layer + 1}, one process"
        )
        axes.plot(
            sharded[:, layer], color=colour, ls="--", label=f"layer {layer + 1}, two ranks of FSDP"
        )
    axes.set(title="σ of the raw weights: one process, and two with half of each weight")
    axes.set(xlabel="critic step", ylabel="σ")
    axes.legend(frameon=False, ncols=3, fontsize=8)
    plt.savefig(FOLDER / "fsdp_launch.png", dpi=100)
