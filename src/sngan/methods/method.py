"""Method of training a critic: a loss, constraints on the critic, and an optimizer."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from sngan.losses import LOSSES
from sngan.methods.adam import TensorBetaAdam
from sngan.methods.schedule import Schedule, require_scheduled, value_at
from sngan.penalties import PENALTIES
from sngan.utils.checks import require, require_count, require_number
from sngan.utils.families import FamilyDefault, by_family
from sngan.utils.fields import filled_in, none_for_off, option, require_choices

_PARTS = (
    "spectral_norm",
    "spectral_norm_generator",
    "critic_norm",
    "clip",
    "penalty",
    "orthonormal",
    "lr_critic",
)


@dataclass(frozen=True)
class Method:
    """One way to train a critic: a loss, constraints on the critic, and an optimizer.

    Parts that are off are None; ``"none"`` and 0 are accepted as well.

    Parameters
    ----------
    name, paper
        The name of the recipe, and its source.
    image_model, image_attention, image_init, usual_ema_decay, usual_ema_share
        Settings outside the method. The recipe decides them if they are left out: the family of
        networks for images, whether these networks have self-attention, their initialization, and
        the decay of the generator's average. With ``usual_ema_share`` the half-life of the average
        grows along a cosine from 0 to this share of the images of the run.
    loss
        A key of ``sngan.losses.LOSSES``, the name of a plug-in, or ``package.module:name``.
    spectral_norm, coefficient
        Spectral normalization of the critic, and the value at which it keeps the norm.
        ``"matrix"`` normalizes each reshaped kernel, ``"operator"`` each layer as a linear map.
    spectral_norm_generator, coefficient_generator
        The same for the generator (Zhang et al. 2019, arXiv:1805.08318). Its moving average is the
        average of normalized weights, so no norm of it exceeds the coefficient either.
    critic_norm
        Another normalization of the critic: ``"batch"``, ``"layer"`` or ``"weight"``.
    clip
        The critic's weights are clipped to ``[-clip, clip]``.
    penalty, penalty_weight
        A key of ``sngan.penalties.PENALTIES`` or a name as for ``loss``, and its weight λ in the
        critic's loss: a number, or a :class:`Schedule` such as ``"2->0.2"``.
    orthonormal
        The weight of a term in the critic's loss. The term is the distance of the critic's kernels
        from orthonormal ones.
    optimizer, lr, betas
        ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"`` for both networks, its learning rate,
        and β₁ and β₂ of Adam. The rate and β₂ may be schedules: ``(0.0, "0.9->0.99")``.
    lr_critic
        The learning rate of the critic, if it has its own: two time scales, Heusel et al. 2017,
        arXiv:1706.08500.
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
    image_model: str = filled_in("cnn")
    image_attention: bool = filled_in(False)
    image_init: Literal["default", "orthogonal"] = filled_in("default")
    usual_ema_decay: float = filled_in(0.999)
    usual_ema_share: float | None = filled_in(None)
    loss: str = option(
        "hinge", f"loss pair of sngan.losses: {', '.join(LOSSES)}; or package.module:name"
    )
    spectral_norm: Literal["matrix", "operator"] | None = option(
        None,
        "spectral normalization of the critic; matrix: norm of each reshaped kernel; operator: "
        "norm of each layer as a linear map, certified at the end",
    )
    coefficient: float = option(1.0, "the spectral norm that the critic's weights are kept at")
    spectral_norm_generator: Literal["matrix", "operator"] | None = option(
        None,
        "spectral normalization of the generator as well, as in SAGAN and BigGAN; its average is "
        "that of the normalized weights",
    )
    coefficient_generator: float = option(
        1.0, "the spectral norm that the generator's weights are kept at"
    )
    critic_norm: Literal["batch", "layer", "weight"] | None = option(
        None, "another normalization of the critic: batch or layer norm, or weight normalization"
    )
    clip: float | None = option(None, "clip the critic's weights to [-clip, clip]; 0: no clipping")
    penalty: str | None = option(
        None,
        f"gradient penalty of sngan.penalties: none, {', '.join(PENALTIES)}; or "
        "package.module:name",
    )
    penalty_weight: float | Schedule = option(
        0.0,
        "weight of the penalty in the critic's loss (lambda); A->B goes from A to B over the run, "
        "cosine A->B does so along a cosine",
    )
    orthonormal: float | None = option(
        None,
        "weight of a term in the critic's loss: the distance of its kernels from orthonormal ones; "
        "0: none",
    )
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option(
        "adam", "optimizer of both networks"
    )
    lr: float | Schedule = option(
        by_family(2e-4, points=2e-3),
        "learning rate of both networks: a number, which --schedule moves, or A->B such as "
        "2e-4->5e-5, or cosine A->B",
    )
    lr_critic: float | Schedule | None = option(
        None, "learning rate of the critic, as in two time scales (TTUR); none: that of lr"
    )
    betas: tuple[float, float | Schedule] = option(
        (0.0, 0.9), "beta1 and beta2 of adam and adamw; beta2 may be A->B, such as [0,0.9->0.99]"
    )
    n_critic: int = option(by_family(5, points=1), "critic steps for each generator step")

    def __post_init__(self) -> None:
        none_for_off(self, *_PARTS)
        require_choices(self, prefix="method.")
        LOSSES.require(self.loss, "method.loss")
        for key in ("coefficient", "coefficient_generator"):
            require_number(getattr(self, key), f"method.{key}", above=0.0)
        if self.penalty is not None:
            PENALTIES.require(self.penalty, "method.penalty", also=["none"])
        self._parse("penalty_weight", minimum=0.0)
        for key in ("clip", "orthonormal"):
            value = getattr(self, key)
            if value is not None:
                require_number(value, f"method.{key}", minimum=0.0)
        self._require_compatible()
        self._parse("lr", above=0.0)
        if self.lr_critic is not None:
            self._parse("lr_critic", above=0.0)
        require_count(self.n_critic, "method.n_critic")
        object.__setattr__(self, "betas", _parsed_betas(self.betas))

    def _parse(self, key: str, *, above: float = -math.inf, minimum: float = -math.inf) -> None:
        """Replace the text of a schedule by the schedule."""
        name, value = f"method.{key}", getattr(self, key)
        parsed = require_scheduled(value, name, above=above, minimum=minimum)
        object.__setattr__(self, key, parsed)

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
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float | None = None,
        captured_on: torch.device | None = None,
    ) -> Optimizer:
        """Build the optimizer for the parameters of one network, as it is at the first step.

        Parameters
        ----------
        parameters
            The weights of the network.
        lr
            The learning rate; left out: that of the method.
        captured_on
            The device on which a CUDA graph captures the steps. The learning rate is then a tensor
            there, and so are the betas if they change.
        """
        first = value_at(self.lr, 0, 1) if lr is None else lr
        betas = self.betas[0], value_at(self.betas[1], 0, 1)
        options: dict[str, Any] = {"lr": first, "fused": True}
        if self.optimizer == "rmsprop":
            del options["fused"]
        if self.optimizer in ("adam", "adamw"):
            options["betas"] = betas
        if captured_on is not None:
            rate = options["lr"] = torch.tensor(first, device=captured_on)
            if "betas" in options and isinstance(self.betas[1], Schedule):
                decay = _ADAMW_DECAY if self.optimizer == "adamw" else 0.0
                return TensorBetaAdam(parameters, lr=rate, betas=betas, weight_decay=decay)
            # torch's SGD needs no such option, because it keeps nothing on the host
            options |= {} if self.optimizer == "sgd" else {"capturable": True}
        return _OPTIMIZERS[self.optimizer](parameters, **options)


def _parsed_betas(betas: Any) -> tuple[float, float | Schedule]:
    if isinstance(betas, FamilyDefault):
        return betas  # pyright: ignore[reportReturnType]
    is_pair = isinstance(betas, list | tuple) and len(betas) == 2
    require(is_pair, "method.betas", expected="two numbers", got=betas)
    most = 1.0 - 1e-12
    require_number(betas[0], "method.betas", minimum=0.0, maximum=most)
    second = require_scheduled(betas[1], "method.betas", minimum=0.0, maximum=most)
    # torch refuses integers among the betas, and a YAML file gives lists
    return float(betas[0]), second if isinstance(second, Schedule) else float(second)


# the default of torch's AdamW
_ADAMW_DECAY = 0.01
_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
