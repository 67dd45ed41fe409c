"""Settings of an evaluation, as the metrics read them."""

from typing import Protocol

from sngan.data.dataset import Dataset
from sngan.utils import consent
from sngan.utils.extractor_names import names_code


class EvaluationSettings(Protocol):
    """Settings that an evaluator is made from, such as :class:`sngan.config.EvaluationConfig`."""

    @property
    def samples(self) -> int:
        """How many generated samples are compared."""
        ...

    @property
    def extractor(self) -> str:
        """The feature extractor, see :func:`sngan.metrics.extractors.open_extractor`."""
        ...

    @property
    def weights(self) -> str | None:
        """A file of the weights of ``inception``, ``dinov2`` or ``clip``."""
        ...

    @property
    def features(self) -> int:
        """The meaning of ``auto`` for images without labels: 1 is ``pixels``, 2 is ``domain``."""
        ...


def chosen_extractor(settings: EvaluationSettings, dataset: Dataset) -> str:
    """Return the extractor of the settings, with the meaning that ``auto`` had in their version.

    Raises
    ------
    ValueError
        If the settings name code, and the user has not allowed it.
    """
    if names_code(settings.extractor):
        consent.require_allowed(settings.extractor, argument="evaluation.extractor")
    is_early = settings.features == 1 and dataset.is_images and dataset.labels is None
    return "pixels" if settings.extractor == "auto" and is_early else settings.extractor
