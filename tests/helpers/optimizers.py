"""Small reference versions of optimizers that move weights in ways of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


class Sam(Optimizer):
    """Sharpness-aware minimization: the gradient of a point nearby (Foret et al. 2021)."""

    def __init__(self, params, base: type[Optimizer], *, rho: float = 0.05, **options) -> None:
        super().__init__(params, {"rho": rho, **options})
        self.base_optimizer = base(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups

    def _weights(self) -> list[nn.Parameter]:
        every = (p for group in self.param_groups for p in group["params"])
        return [p for p in every if p.grad is not None]

    @torch.no_grad()
    def first_step(self) -> None:
        weights = self._weights()
        size = torch.stack([w.grad.norm() for w in weights]).norm()
        for weight in weights:
            self.state[weight]["found"] = weight.data.clone()
            weight.add_(weight.grad * (self.defaults["rho"] / (size + 1e-12)))
        self.zero_grad()

    @torch.no_grad()
    def second_step(self) -> None:
        for weight in self._weights():
            weight.data = self.state[weight].pop("found")
        self.base_optimizer.step()
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> None:
        assert closure is not None
        closure = torch.enable_grad()(closure)
        self.first_step()
        closure()
        self.second_step()


class Lookahead(Optimizer):
    """Slow weights follow fast ones every few steps (Zhang et al. 2019).

    As published versions do, it never calls the constructor of ``Optimizer``.
    """

    def __init__(self, optimizer: Optimizer, *, every: int = 3, alpha: float = 0.5) -> None:
        self.optimizer, self.every, self.alpha, self.count = optimizer, every, alpha, 0
        self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
        self.state: dict[str, Any] = {}
        self.slow = [[p.detach().clone() for p in g["params"]] for g in self.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure=None):
        loss = self.optimizer.step(closure)
        self.count += 1
        if self.count % self.every == 0:
            for group, slow in zip(self.param_groups, self.slow, strict=True):
                for weight, kept in zip(group["params"], slow, strict=True):
                    kept.add_(weight.detach() - kept, alpha=self.alpha)
                    weight.data.copy_(kept)
        return loss


class ScheduleFree(Optimizer):
    """Schedule-free SGD: gradients at y, steps of z, an average x (Defazio et al. 2024)."""

    def __init__(self, params, lr: float = 0.1, beta: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "count": 0, "train_mode": True})

    @torch.no_grad()
    def eval(self) -> None:
        self._exchange(train=False, weight=lambda beta: 1 - 1 / beta)

    @torch.no_grad()
    def train(self) -> None:
        self._exchange(train=True, weight=lambda beta: 1 - beta)

    def _exchange(self, *, train: bool, weight: Callable[[float], float]) -> None:
        for group in self.param_groups:
            if group["train_mode"] is not train:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], weight(group["beta"]))
                group["train_mode"] = train

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["count"] += 1
            rate, share = group["lr"], 1 / group["count"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                z = self.state[p].setdefault("z", p.clone())
                p.lerp_(z, share).add_(p.grad, alpha=rate * (group["beta"] * (1 - share) - 1))
                z.sub_(p.grad, alpha=rate)


class Accelerated(Optimizer):
    """The attributes of the optimizer that Accelerate wraps around another one."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.scaler = None

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @property
    def state(self):
        return self.optimizer.state

    @property
    def defaults(self):
        return self.optimizer.defaults

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def state_dict(self):
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict) -> None:
        self.optimizer.load_state_dict(state_dict)

    def train(self) -> None:
        """Accelerate passes this on to schedule-free optimizers."""

    def eval(self) -> None:
        """The same."""

    def step(self, closure=None):
        return self.optimizer.step(closure)


class Muon(Optimizer):
    """Momentum made orthogonal, for matrices (Jordan et al. 2024)."""

    def __init__(self, params, lr: float = 0.05, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    moment = state.setdefault("moment", torch.zeros_like(p))
                    moment.mul_(group["momentum"]).add_(p.grad)
                    left, _, right = torch.linalg.svd(moment.flatten(1), full_matrices=False)
                    p.sub_((left @ right).view_as(p), alpha=group["lr"])


@contextmanager
def failing_step(kind: type[Optimizer], error: BaseException) -> Iterator[type[Optimizer]]:
    """A subclass whose steps, inside the block, raise an error when half of the weights moved."""
    is_failing = True

    class Failing(kind):
        def step(self, closure=None):
            moved = [group["params"] for group in self.param_groups]
            for group, params in zip(self.param_groups, moved, strict=True):
                group["params"] = params[: len(params) // 2] if is_failing else params
            try:
                result = super().step(closure)
            finally:
                for group, params in zip(self.param_groups, moved, strict=True):
                    group["params"] = params
            if is_failing:
                raise error
            return result

    yield Failing
    is_failing = False
