"""Three critics and generators in the plane, recorded frame by frame while they train."""

import json
import time
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

import sngan
from sngan import losses, penalties

SIDE, REACH, SHOWN = 24, 2.0, 32  # cells of the map along one side; half its width; points shown
CLIP = 0.2
PHASES = (("critic", 12, 8), ("generator", 6, 2), ("both", 12, 8))  # name, frames, rounds a frame
LOSSES = {
    "original": losses.minimax,
    "clipping": losses.wasserstein,
    "penalty": losses.wasserstein,
}


def mlp(outputs):
    """Return a network with two hidden layers from the plane."""
    sizes = (2, 32, 32, outputs)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def real_points(n):
    """Draw points of two clouds."""
    side = torch.randint(2, (n, 1)) * 2 - 1
    return torch.cat([torch.ones(n, 1), 0.7 * side], dim=1) + 0.12 * torch.randn(n, 2)


class Pair:
    """A critic and a generator with one loss, and the record of their training."""

    def __init__(self, method, *, clip=CLIP):
        torch.manual_seed(0)
        self.method, self.loss, self.clip = method, LOSSES[method], clip
        self.critic, self.generator = mlp(1), mlp(2)
        with torch.no_grad():
            self.generator[-1].bias.copy_(torch.tensor([-1.0, 0.0]))
        if method == "clipping":
            penalties.clip_weights_(self.critic, self.clip)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr=5e-3, betas=(0.0, 0.9))
            for net in (self.critic, self.generator)
        ]
        self.noise, self.updates = torch.randn(SHOWN, 2), [0, 0]

    def critic_step(self):
        """Update the critic once."""
        real, fake = real_points(128), self.generator(torch.randn(128, 2)).detach()
        loss = self.loss.critic(self.critic(real), self.critic(fake))
        if self.method == "penalty":
            loss = loss + 10 * penalties.wgan_gp(self.critic, real, fake)
        self._update(0, loss)
        if self.method == "clipping":
            penalties.clip_weights_(self.critic, self.clip)

    def generator_step(self):
        """Update the generator once."""
        self._update(1, self.loss.generator(self.critic(self.generator(torch.randn(128, 2)))))

    def _update(self, which, loss):
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()
        self.updates[which] += 1

    def frame(self):
        """Return everything that a frame shows."""
        axis = torch.linspace(-REACH, REACH, SIDE)
        grid = torch.cartesian_prod(axis, axis).requires_grad_()
        scores = self.critic(grid)[:, 0]
        slopes = torch.autograd.grad(scores.sum(), grid)[0].norm(dim=1)
        points = self.generator(self.noise).detach().requires_grad_()
        judged = self.critic(points)
        push = -torch.autograd.grad(self.loss.generator(judged), points)[0] * SHOWN
        # half of the range on both sides of the middle score
        middle = (scores.max() + scores.min()) / 2
        half = (scores.max() - scores.min()).clamp(min=1e-9) / 2
        proved = sngan.lipschitz_bounds(self.critic, (2,), data=grid.detach(), samples=64, rounds=4)
        pushes = push.norm(dim=1)
        weights = torch.cat([w.detach().flatten() for w in self.critic.parameters()])
        width = self.clip if self.method == "clipping" else 0.8
        counts = torch.histc(weights.clamp(-width, width), 21, -width, width)
        with torch.no_grad():
            far = sngan.wasserstein(real_points(200), self.generator(torch.randn(200, 2))).distance
        return {
            "critic": self.updates[0],
            "generator": self.updates[1],
            "map": coded((scores - middle) / half, 1),
            "score": short(judged.mean()),
            "points": coded(points, REACH),
            # arrows show directions; their length is the share of the longest one
            "arrows": coded(push / pushes.max().clamp(min=1e-12), 1),
            "push": short(pushes.mean()),
            "slope": short(max(slopes.max().item(), proved.lower)),
            "proved": short(proved.upper * (1 + 5e-4)),
            "w1": short(far),
            "counts": [int(c) for c in counts],
            "at_c": short((weights.abs() > 0.99 * width).float().mean()),
        }


def coded(values, reach):
    """Return the values between −reach and reach as two hexadecimal digits each."""
    levels = ((values.detach().flatten() / reach).clamp(-1, 1) * 127 + 127).round().int()
    return "".join(f"{level:02x}" for level in levels.tolist())


def short(value):
    """Return a number with four digits."""
    value = value.item() if isinstance(value, torch.Tensor) else value
    return float(f"{value:.4g}")


def record(method):
    """Train a pair through all phases, and return its frames."""
    pair, frames = Pair(method), []
    for phase, count, rounds in PHASES:
        for _ in range(count):
            frames.append({"phase": phase, **pair.frame()})
            for _ in range(rounds):
                for _ in range({"critic": 1, "generator": 0, "both": 4}[phase]):
                    pair.critic_step()
                if phase in ("generator", "both"):
                    pair.generator_step()
    return [*frames, {"phase": "both", **pair.frame()}]


def slope_at(clip):
    """Return the slope of a critic that is trained alone with weights in ±clip."""
    pair, (_, frames, rounds) = Pair("clipping", clip=clip), PHASES[0]
    for _ in range(frames * rounds):
        pair.critic_step()
    return pair.frame()["slope"]


def cost():
    """Return the CPU time of a critic step with a penalty over that of one with clipping."""
    critic = nn.Sequential(
        nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)
    )
    real, fake, least = torch.randn(256, 2), torch.randn(256, 2), {"clipping": 9.0, "penalty": 9.0}
    for method in 25 * ("clipping", "penalty"):
        start = time.process_time()
        loss = losses.wasserstein.critic(critic(real), critic(fake))
        if method == "penalty":
            loss = loss + 10 * penalties.wgan_gp(critic, real, fake)
        critic.zero_grad()
        loss.backward()
        least[method] = min(least[method], time.process_time() - start)
    return short(least["penalty"] / least["clipping"])


def numbers(frame):
    """Return the numbers of a frame, without its map, points and counts."""
    return {key: value for key, value in frame.items() if isinstance(value, int | float)}


def main():
    """Compute all numbers and write them."""
    methods = {method: record(method) for method in LOSSES}
    last = len(methods["original"]) - 1
    torch.manual_seed(1)
    real = real_points(60)
    checks = [
        {
            "move": {"training-method": method, "training-frame": at},
            "read": {"training-push": frames[at]["push"], "training-w1": frames[at]["w1"]},
            "tolerance": max(6e-4, 6e-3 * frames[at]["push"]),
        }
        for method, frames in methods.items()
        for at in (0, 12, last)
    ]
    Path("training.json").write_text(
        json.dumps(
            {
                "side": SIDE,
                "reach": REACH,
                "clip": CLIP,
                "real": coded(real, REACH),
                "last": last,
                "cost": cost(),
                "half_clip": CLIP / 2,
                "half_slope": slope_at(CLIP / 2),
                "methods": methods,
                "checks": checks,
                "start": {method: numbers(frames[0]) for method, frames in methods.items()},
                "trained": {method: numbers(frames[12]) for method, frames in methods.items()},
                "end": {method: numbers(frames[last]) for method, frames in methods.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
