"""Method of training a critic: a loss, constraints on the critic, and an optimizer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from sngan.losses import LOSSES
from sngan.penalties import PENALTIES
from sngan.utils.checks import require, require_count, require_number, require_one_of
from sngan.utils.fields import filled_in, none_for_off, option, require_choices

_PARTS = ("spectral_norm", "critic_norm", "clip", "penalty", "orthonormal")


@dataclass(frozen=True)
class Method:
    """One way to train a critic: a loss, constraints on the critic, and an optimizer.

    Parts that are off are None; ``"none"`` and 0 are accepted as well.

    Parameters
    ----------
    name, paper, image_model
        The name of the recipe, its source, and the family of networks that it takes for images if
        ``model.name`` is ``auto``.
    loss
        A key of ``sngan.losses.LOSSES``.
    spectral_norm, coefficient
        Spectral normalization of the critic, and the value at which it keeps the norm.
        ``"matrix"`` normalizes each reshaped kernel, ``"operator"`` each layer as a linear map.
    critic_norm
        Another normalization of the critic: ``"batch"``, ``"layer"`` or ``"weight"``.
    clip
        The critic's weights are clipped to ``[-clip, clip]``.
    penalty, penalty_weight
        A key of ``sngan.penalties.PENALTIES``, and its weight λ in the critic's loss.
    orthonormal
        The weight of a term in the critic's loss. The term is the distance of the critic's kernels
        from orthonormal ones.
    optimizer, lr, betas
        ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"`` for both networks, its learning rate,
        and β₁ and β₂ of Adam.
    n_critic
        Critic steps for each generator step.

    Raises
    ------
    ValueError
        If a value is out of range, or parts exclude each other (a penalty with batch norm; weight
        normalization with spectral normalization or clipping).

    Examples
    --------
    >>> from dataclasses import replace
    >>> import sngan
    >>> method = replace(sngan.METHODS["sn"], penalty="r1", penalty_weight=5.0)
    >>> method.spectral_norm, method.penalty, method.clip
    ('matrix', 'r1', None)
    """

    name: str = option("sn", "the recipe that decides every setting of this group that is left out")
    paper: str = filled_in("")
    # the family of networks for images, where model.name is auto
    image_model: str = filled_in("cnn")
    loss: str = option("hinge", f"loss pair of sngan.losses: {', '.join(LOSSES)}")
    spectral_norm: Literal["matrix", "operator"] | None = option(
        None,
        "spectral normalization of the critic; matrix: norm of each reshaped kernel; operator: "
        "norm of each layer as a linear map, certified at the end",
    )
    coefficient: float = option(1.0, "the spectral norm that the critic's weights are kept at")
    critic_norm: Literal["batch", "layer", "weight"] | None = option(
        None, "another normalization of the critic: batch or layer norm, or weight normalization"
    )
    clip: float | None = option(None, "clip the critic's weights to [-clip, clip]; 0: no clipping")
    penalty: str | None = option(
        None, f"gradient penalty of sngan.penalties: none, {', '.join(PENALTIES)}"
    )
    penalty_weight: float = option(0.0, "weight of the penalty in the critic's loss (lambda)")
    orthonormal: float | None = option(
        None,
        "weight of a term in the critic's loss: the distance of its kernels from orthonormal ones; "
        "0: none",
    )
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option(
        "adam", "optimizer of both networks"
    )
    lr: float = option(2e-4, "learning rate of both networks")
    betas: tuple[float, float] = option((0.0, 0.9), "beta1 and beta2 of adam and adamw")
    n_critic: int = option(5, "critic steps for each generator step")

    def __post_init__(self) -> None:
        none_for_off(self, *_PARTS)
        require_choices(self, prefix="method.")
        require_one_of(self.loss, "method.loss", choices=LOSSES)
        require_number(self.coefficient, "method.coefficient", above=0.0)
        if self.penalty is not None:
            require_one_of(self.penalty, "method.penalty", choices=["none", *PENALTIES])
        require_number(self.penalty_weight, "method.penalty_weight", minimum=0.0)
        for key in ("clip", "orthonormal"):
            value = getattr(self, key)
            if value is not None:
                require_number(value, f"method.{key}", minimum=0.0)
        self._require_compatible()
        require_number(self.lr, "method.lr", above=0.0)
        require(len(self.betas) == 2, "method.betas", expected="two numbers", got=self.betas)
        for beta in self.betas:
            require_number(beta, "method.betas", minimum=0.0, maximum=1.0 - 1e-12)
        require_count(self.n_critic, "method.n_critic")
        # torch refuses integers among the betas, and a YAML file gives lists
        object.__setattr__(self, "betas", tuple(float(beta) for beta in self.betas))

    def _require_compatible(self) -> None:
        require(
            self.critic_norm != "batch" or self.penalty is None,
            "method.penalty",
            expected="none with batch norm, where a sample's gradient depends on the whole batch",
            got=repr(self.penalty),
        )
        require(
            self.critic_norm != "weight" or (self.spectral_norm is None and self.clip is None),
            "method.critic_norm",
            expected="weight normalization without spectral norm and clipping",
            got=f"spectral_norm {self.spectral_norm or 'none'!r}, clip {self.clip or 0.0:g}",
        )

    def make_optimizer(
        self, parameters: Iterable[nn.Parameter], *, captured_on: torch.device | None = None
    ) -> Optimizer:
        """Build the optimizer for the parameters of one network.

        With ``captured_on`` its step can be captured in a CUDA graph on this device, so its
        learning rate is a tensor there.
        """
        options: dict[str, Any] = {"lr": self.lr, "fused": True}
        if self.optimizer == "rmsprop":
            del options["fused"]
        if captured_on is not None:
            options["lr"] = torch.tensor(self.lr, device=captured_on)
            # torch's SGD needs no such option, because it keeps nothing on the host
            options |= {} if self.optimizer == "sgd" else {"capturable": True}
        if self.optimizer in ("adam", "adamw"):
            options["betas"] = self.betas
        return _OPTIMIZERS[self.optimizer](parameters, **options)


_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
