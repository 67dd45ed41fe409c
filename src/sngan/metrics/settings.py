"""Settings of an evaluation, as the metrics read them."""

from typing import Protocol

from sngan.data.dataset import Dataset


class EvaluationSettings(Protocol):
    """Settings that an evaluator is made from, such as :class:`sngan.config.EvaluationConfig`."""

    @property
    def samples(self) -> int:
        """How many generated samples are compared."""
        ...

    @property
    def extractor(self) -> str:
        """The name of the feature extractor."""
        ...

    @property
    def weights(self) -> str | None:
        """A file of Inception's weights."""
        ...

    @property
    def features(self) -> int:
        """What ``auto`` is for images without labels: 1 for ``pixels``, 2 for ``domain``."""
        ...


def chosen_extractor(settings: EvaluationSettings, dataset: Dataset) -> str:
    """Return the extractor of the settings, with the meaning that ``auto`` had in their version."""
    is_early = settings.features == 1 and dataset.is_images and dataset.labels is None
    return "pixels" if settings.extractor == "auto" and is_early else settings.extractor
