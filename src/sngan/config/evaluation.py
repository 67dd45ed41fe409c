"""Settings of evaluations."""

from dataclasses import dataclass
from typing import Literal

from sngan.config.paths import require_path
from sngan.utils.checks import require, require_count
from sngan.utils.extractor_names import FORMS, require_extractor
from sngan.utils.families import by_family
from sngan.utils.fields import filled_in, none_for_off, option, require_choices

FEATURES = 2
"""The newest meaning of ``extractor: auto``: see ``EvaluationConfig.features``."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How samples are measured by ``sngan evaluate``, and during training.

    Attributes
    ----------
    features
        The meaning of ``extractor: auto`` for images without labels: 1 is ``pixels``, 2 is
        ``domain``. A run keeps the meaning that it began with, because values of different features
        cannot be compared.

    Raises
    ------
    ValueError
        If a value is out of range, or the extractor has none of the known forms.

    Examples
    --------
    >>> from sngan.config import EvaluationConfig
    >>> settings = EvaluationConfig(every=0, extractor="pixels")
    >>> print(settings.every, settings.extractor)
    None pixels
    """

    every: int | Literal["auto"] | None = option(
        by_family("auto", points="auto"),
        "steps between two evaluations in training; auto: up to 20 in a run, as many as take less "
        "than 5 % of its time; 0: none",
    )
    samples: int = option(
        by_family(1000, points=2500), "generated samples, and at most as many real ones, to compare"
    )
    extractor: str = option(
        "auto",
        f"features of images: {FORMS}; auto: domain, a small classifier that is trained on this "
        "data: of its labels, or without labels of turned and damaged images; points are compared "
        "as they are",
    )
    weights: str | None = option(
        None, "file of weights of inception, dinov2 or clip; inception, left out: downloaded once"
    )
    best: str = option(
        "auto", "metric that decides which checkpoint is kept as best.pt; auto: frechet or w1"
    )
    features: int = filled_in(FEATURES)

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", require_path(self.weights, "evaluation.weights"))
        none_for_off(self, "every")
        if not isinstance(self.every, str | None):
            require_count(self.every, "evaluation.every", minimum=0)
        require_count(self.samples, "evaluation.samples", minimum=2)
        require_extractor(self.extractor, "evaluation.extractor")
        require_count(self.features, "evaluation.features")
        known = f"at most {FEATURES}, the meanings of auto that this sngan knows"
        require(self.features <= FEATURES, "evaluation.features", expected=known, got=self.features)
        require_choices(self, prefix="evaluation.")
