"""Adam whose β₂ is a tensor on the device, so that a captured step reads its present value."""

# torch's operations on lists of tensors have no public names
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class TensorBetaAdam(torch.optim.Adam):
    r"""Adam (Kingma, Ba 2015, arXiv:1412.6980) for a β₂ that changes within a CUDA graph.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g,\quad
              v \leftarrow \beta_2 v + (1 - \beta_2) g^2,\quad
              w \leftarrow w - \eta\,\frac{m/(1 - \beta_1^t)}{\sqrt{v/(1 - \beta_2^t)} + \epsilon}

    β₂ is the present one, also in the corrections ``1 − β₂^t``, as in torch's Adam. torch's fused
    Adam reads its betas on the host, so a graph would freeze them. The state has the same keys as
    that of torch's Adam, so each loads checkpoints of the other. ``weight_decay`` is decoupled, as
    in AdamW.

    Parameters
    ----------
    parameters
        Dense weights on one device.
    lr
        The learning rate η, a tensor on the device of the weights.
    betas
        β₁ and β₂. β₂ becomes a tensor: ``param_groups[i]["betas"][1]``.
    weight_decay
        The share of each weight that a step with η = 1 takes away.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: Tensor,
        betas: tuple[float, float],
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, capturable=True)
        for group in self.param_groups:
            group["betas"] = betas[0], torch.tensor(betas[1], device=lr.device)
            group["weight_decay"] = weight_decay

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update the weights once; ``closure`` may compute the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._update(weights, [self._own_state(weight) for weight in weights], group)
        return loss

    def _own_state(self, weight: Tensor) -> dict[str, Tensor]:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(weight) for _ in range(2))
        return state

    def _update(
        self, weights: list[Tensor], states: list[dict[str, Tensor]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        steps, means, squares = (
            [state[key] for state in states] for key in ("step", "exp_avg", "exp_avg_sq")
        )
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, torch._foreach_mul(gradients, 1 - beta2), gradients)
        # all weights of a group have the same number of steps
        step = steps[0].to(lr.dtype)
        sizes = torch._foreach_sqrt(squares)
        torch._foreach_div_(sizes, (1 - beta2**step).sqrt())
        torch._foreach_add_(sizes, eps)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - lr * group["weight_decay"])
        moves = torch._foreach_div(means, sizes)
        torch._foreach_mul_(moves, -lr / (1 - beta1**step))
        torch._foreach_add_(weights, moves)
