"""Description of a SOURCE: the images or points that sngan reads from it, as text and JSON."""

import logging
import math
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sngan import data
from sngan.config import DataConfig
from sngan.data.survey import Survey, survey
from sngan.engine.resolve import class_names
from sngan.engine.setup import open_dataset
from sngan.utils.progress import counting
from sngan.utils.tables import text_table
from sngan.utils.text import counted, printable

_SHOWN = 10
_FORMATS = 5


@dataclass(frozen=True)
class Description:
    """A data set, and the facts that are known about its files.

    Attributes
    ----------
    settings
        The settings that it was read with.
    dataset
        The samples.
    survey
        The sizes and formats of its images before they were decoded.
    remarks
        The lines that say how the data was read.
    """

    settings: DataConfig
    dataset: data.Dataset
    survey: Survey
    remarks: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, or its number; no names without labels."""
        return () if self.dataset.labels is None else class_names(self.dataset)

    def class_counts(self) -> list[int]:
        """Return the number of samples of each class."""
        names = self.class_names
        return self.dataset.class_counts(len(names)).tolist() if names else []

    def table(self) -> str:
        """Return plain text with one fact a line."""
        facts = [("source", printable(self.settings.source)), ("samples", self._samples())]
        facts += self._image_facts() if self.dataset.is_images else self._point_facts()
        facts += [("classes", self._classes()), *self._skipped()]
        return text_table(facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain values for JSON."""
        dataset, found = self.dataset, self.survey
        classes = zip(self.class_names, self.class_counts(), strict=True)
        facts: dict[str, Any] = {
            "source": self.settings.source,
            "kind": "images" if dataset.is_images else "points",
            "samples": dataset.total,
            "held": len(dataset),
            "shape": list(dataset.sample_shape),
            "values": self._values(),
            "classes": [{"name": name, "samples": count} for name, count in classes],
            "skipped": [{"name": one.name, "reason": one.reason} for one in dataset.skipped],
            "remarks": list(self.remarks),
        }
        if dataset.is_images and found.examined:
            facts["files"] = {
                "examined": found.examined,
                "smallest": list(found.smallest),
                "largest": list(found.largest),
                "commonest": list(found.commonest),
                "commonest_count": found.sizes[found.commonest],
                "sizes": len(found.sizes),
                "cut_away": self._lost()[0],
                "cut_away_worst": self._lost()[1],
                "grey": found.channels[1],
                "colour": found.channels[3],
                "formats": dict(found.formats.most_common()),
                "transparent": found.transparent,
                "several_frames": found.several_frames,
            }
        return facts

    def _samples(self) -> str:
        dataset = self.dataset
        count = counted(dataset.total, "image" if dataset.is_images else "point")
        axes = "" if dataset.is_images else f" of {counted(dataset.sample_shape[0], 'coordinate')}"
        part = "" if dataset.stream is None else f" (streamed; the facts below: {len(dataset):,})"
        return f"{count}{axes}{part}"

    def _lost(self) -> tuple[float, float]:
        """The mean and the worst share of an image's area that is cut off."""
        _, height, width = self.dataset.sample_shape
        return self.survey.lost((height, width), self.settings.fit)

    def _how_fitted(self) -> str:
        """Say how images of another size or shape are fitted to that of the data."""
        found, (channels, height, width) = self.survey, self.dataset.sample_shape
        if set(found.sizes) == {(width, height)}:
            return "as it is"
        if not self._changes_shape():
            return "resized"
        if self.settings.fit == "pad":
            margin = self.settings.background if channels < 4 else "transparent"
            return f"whole image, resized, with {margin} margins (pad)"
        if self.settings.fit == "stretch":
            return "whole image, its shape changed (stretch)"
        mean, worst = self._lost()
        part = "central square" if height == width else "central part"
        most = "" if math.isclose(mean, worst) else f" on average, {worst:.0%} at worst"
        return f"{part} ({mean:.0%} of the area is cut off{most}), resized"

    def _setting(self) -> str:
        """The setting of a rectangle, whose height comes first."""
        _, height, width = self.dataset.sample_shape
        is_square = height == width
        return "" if is_square else f" (resolution {data.resolution_setting((height, width))})"

    def _changes_shape(self) -> bool:
        _, height, width = self.dataset.sample_shape
        return any(wide * height != high * width for wide, high in self.survey.sizes)

    def _image_facts(self) -> list[tuple[str, str]]:
        found, (channels, height, width) = self.survey, self.dataset.sample_shape
        colour = {1: "grey", 3: "colour", 4: "colour and opacity"}[channels]
        values = self._values()
        facts = [
            ("sizes", _sizes(found)),
            (
                "read as",
                f"{width}×{height}{self._setting()}, {channels} channel{'s'[: channels - 1]} "
                f"({colour}); "
                f"{self._how_fitted()}",
            ),
            (
                "values",
                f"{values['low']:g} to {values['high']:g} of 255, mean {values['mean']:.1f}, "
                f"standard deviation {values['std']:.1f}; trained on as [-1, 1]",
            ),
        ]
        if found.channels[1] and found.channels[3]:
            mixed = f"{found.channels[3]:,} in colour, {found.channels[1]:,} grey"
            facts.append(("mixed", f"{mixed}; all are read as {colour}"))
        if found.formats:
            common = found.formats.most_common(_FORMATS)
            more = ["…"] if len(found.formats) > _FORMATS else []
            kinds = ", ".join([*(f"{n:,} {kind}" for kind, n in common), *more])
            is_part = found.examined < self.dataset.total
            some = f" (of {found.examined:,} that were looked at)" if is_part else ""
            facts.append(("formats", f"{kinds}{some}"))
        if found.transparent:
            behind = f"put on {self.settings.background}"
            how = "kept as the fourth channel" if channels == 4 else behind
            facts.append(("transparent", f"{found.transparent:,}, {how}"))
        if found.several_frames:
            files = counted(found.several_frames, "file has", "files have")
            several = f"{files} several; the first one is read"
            facts.append(("frames", several))
        return facts

    def _point_facts(self) -> list[tuple[str, str]]:
        values = self._values()
        return [
            (
                "values",
                f"{values['low']:.4g} to {values['high']:.4g}, mean {values['mean']:.3g}, "
                f"standard deviation {values['std']:.3g}; trained on as they are",
            )
        ]

    def _values(self) -> dict[str, float]:
        samples = self.dataset.samples
        low, high = samples.aminmax()
        # float64 would take eight times the memory of all pixels at once
        parts = [part.double() for part in samples.split(1024)]
        count = samples.numel()
        mean = sum(part.sum().item() for part in parts) / count
        square = sum((part - mean).square().sum().item() for part in parts) / count
        return {"low": low.item(), "high": high.item(), "mean": mean, "std": square**0.5}

    def _classes(self) -> str:
        names, counts = self.class_names, self.class_counts()
        if not names:
            return "none"
        listed = ", ".join(
            f"{printable(name)} ({count:,})" for name, count in zip(names, counts, strict=True)
        )
        if len(names) <= _SHOWN:
            return f"{len(names)}: {listed}"
        first = ", ".join(map(printable, names[:_SHOWN]))
        return f"{len(names):,} with {min(counts):,} to {max(counts):,} samples: {first}, …"

    def _skipped(self) -> Iterator[tuple[str, str]]:
        skipped = self.dataset.skipped
        if not skipped:
            return
        yield "skipped", counted(len(skipped), "file")
        for one in skipped[:_SHOWN]:
            yield "", f"{one.name}: {one.reason}"
        if len(skipped) > _SHOWN:
            yield "", "…"


def describe(settings: DataConfig) -> Description:
    """Open a SOURCE as a training would, and look at its files.

    Parameters
    ----------
    settings
        The source, and how it is read.

    Raises
    ------
    ValueError
        If the source cannot be read, or a setting does not fit it.

    Examples
    --------
    >>> found = describe(DataConfig(source="digits"))
    >>> found.dataset.total, found.survey.commonest, found.class_names[:2]
    (1797, (8, 8), ('0', '1'))
    """
    surveys: list[Survey] = []
    with counting("decoding", file=sys.stderr) as progress, _remarks() as remarks:
        dataset = open_dataset(
            settings, progress, on_opened=lambda opened: surveys.append(survey(opened))
        )
    return Description(settings, dataset, surveys[0], tuple(remarks))


@contextmanager
def _remarks() -> Generator[list[str]]:
    """Collect the warnings that the opening of a source logs."""
    handler = _Collector(logging.WARNING)
    logger = logging.getLogger("sngan")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


class _Collector(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(printable(record.getMessage()))


def _sizes(found: Survey) -> str:
    if not found.examined:
        return "unknown"
    common = found.commonest
    if len(found.sizes) == 1:
        return _shown(common)
    areas = {wide * high for wide, high in found.sizes}
    # images of one area are those of a camera that was turned
    kinds = f"{_shown(found.smallest)} to {_shown(found.largest)}"
    if len(areas) == 1:
        kinds = " and ".join(map(_shown, sorted(found.sizes, reverse=True)[:_SHOWN]))
    return f"{kinds}, most often {_shown(common)} ({found.sizes[common]:,} of {found.examined:,})"


def _shown(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]}"
