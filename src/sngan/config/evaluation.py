"""Settings of evaluations."""

from dataclasses import dataclass

from sngan.config.paths import require_path
from sngan.utils.checks import require_count
from sngan.utils.extractor_names import FORMS, require_extractor
from sngan.utils.families import by_family
from sngan.utils.fields import none_for_off, option


@dataclass(frozen=True)
class EvaluationConfig:
    """How samples are measured by ``sngan evaluate``, and during training."""

    every: int | None = option(None, "steps between two evaluations in training; 0: none")
    samples: int = option(
        by_family(1000, points=2500), "generated samples, and at most as many real ones, to compare"
    )
    extractor: str = option(
        "auto",
        f"features of images: {FORMS}; auto: domain (a classifier trained on this data) if the "
        "data has labels, else pixels; points are compared as they are",
    )
    weights: str | None = option(
        None, "file of weights of inception, dinov2 or clip; inception, left out: downloaded once"
    )
    best: str = option(
        "auto", "metric that decides which checkpoint is kept as best.pt; auto: frechet or w1"
    )

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", require_path(self.weights, "evaluation.weights"))
        none_for_off(self, "every")
        if self.every is not None:
            require_count(self.every, "evaluation.every", minimum=0)
        require_count(self.samples, "evaluation.samples", minimum=2)
        require_extractor(self.extractor, "evaluation.extractor")
