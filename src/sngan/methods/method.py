"""Method: a loss, a constraint on the critic, and an optimizer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from sngan.losses import LOSSES
from sngan.models import CRITIC_NORMS
from sngan.penalties import PENALTIES
from sngan.utils.checks import require, require_count, require_number, require_one_of
from sngan.utils.fields import filled_in, option


@dataclass(frozen=True)
class Method:
    """One way to train a critic. Every field of a recipe can be overridden by the user."""

    name: str = option(
        "sn",
        "the recipe that decides every setting of this group that is left out",
    )
    paper: str = filled_in("")
    loss: str = option("hinge", f"loss pair of sngan.losses: {', '.join(LOSSES)}")
    spectral_norm: Literal["none", "matrix", "operator"] = option(
        "none",
        "spectral normalization of the critic; matrix: of each reshaped kernel, operator: of each "
        "layer as a map, certified at the end",
    )
    coefficient: float = option(1.0, "the spectral norm that the critic's weights are kept at")
    critic_norm: Literal["none", "batch", "layer", "weight"] = option(
        "none", "another normalization of the critic: batch or layer norm, or weight normalization"
    )
    clip: float = option(0.0, "clip the critic's weights to [-clip, clip]; 0: no clipping")
    penalty: str = option(
        "none", f"gradient penalty of sngan.penalties: none, {', '.join(PENALTIES)}"
    )
    penalty_weight: float = option(0.0, "weight of the penalty in the critic's loss (lambda)")
    orthonormal: float = option(
        0.0, "weight in the critic's loss of the distance of its kernels from orthonormal ones"
    )
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option("adam", "of both networks")
    lr: float = option(2e-4, "learning rate of both networks")
    betas: tuple[float, float] = option((0.0, 0.9), "beta1 and beta2 of adam and adamw")
    n_critic: int = option(5, "critic steps for each generator step")

    def __post_init__(self) -> None:
        require_one_of(self.loss, "method.loss", choices=LOSSES)
        require_one_of(self.spectral_norm, "method.spectral_norm", choices=_NORMS)
        require_number(self.coefficient, "method.coefficient", above=0.0)
        require_one_of(self.critic_norm, "method.critic_norm", choices=CRITIC_NORMS)
        require_number(self.clip, "method.clip", minimum=0.0)
        require_one_of(self.penalty, "method.penalty", choices=["none", *PENALTIES])
        require_number(self.penalty_weight, "method.penalty_weight", minimum=0.0)
        require_number(self.orthonormal, "method.orthonormal", minimum=0.0)
        self._require_compatible()
        require_one_of(self.optimizer, "method.optimizer", choices=_OPTIMIZERS)
        require_number(self.lr, "method.lr", above=0.0)
        require(len(self.betas) == 2, "method.betas", expected="two numbers", got=self.betas)
        for beta in self.betas:
            require_number(beta, "method.betas", minimum=0.0, maximum=1.0 - 1e-12)
        require_count(self.n_critic, "method.n_critic")
        # torch refuses integers among the betas, and a YAML file gives lists
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))

    def _require_compatible(self) -> None:
        require(
            self.critic_norm != "batch" or self.penalty == "none",
            "method.penalty",
            expected="none with batch norm, where a sample's gradient depends on the whole batch",
            got=repr(self.penalty),
        )
        require(
            self.critic_norm != "weight" or (self.spectral_norm == "none" and self.clip == 0),
            "method.critic_norm",
            expected="weight normalization without spectral norm and clipping",
            got=f"spectral_norm {self.spectral_norm!r}, clip {self.clip:g}",
        )

    def make_optimizer(
        self, parameters: Iterable[nn.Parameter], *, captured_on: torch.device | None = None
    ) -> Optimizer:
        """Build the recipe's optimizer over the parameters of one network.

        With ``captured_on``, one whose step can be captured in a CUDA graph on this device: its
        learning rate is a tensor there.
        """
        options: dict[str, Any] = {"lr": self.lr, "fused": True}
        if self.optimizer == "rmsprop":
            del options["fused"]
        if captured_on is not None:
            options["lr"] = torch.tensor(self.lr, device=captured_on)
            # torch's SGD keeps nothing on the host
            options |= {} if self.optimizer == "sgd" else {"capturable": True}
        if self.optimizer in ("adam", "adamw"):
            options["betas"] = self.betas
        return _OPTIMIZERS[self.optimizer](parameters, **options)


_NORMS = ("none", "matrix", "operator")
_OPTIMIZERS: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
