"""Tally of decoded images: how many are grey or in colour, and what a crop loses of them."""

import math
from collections import Counter

from sngan.data.images.placement import Size, lost_share, resolution_setting
from sngan.data.types import ImageSpec

# a smaller loss is not worth a line
_WORTH_SAYING = 0.05


class Tally:
    """Counts images while several threads decode them.

    Parameters
    ----------
    spec
        The size and the channels that the images get.
    """

    def __init__(self, spec: ImageSpec) -> None:
        self._spec = spec
        # appending to a list and reading its length is safe in threads
        self._channels: list[int] = []
        self._lost: list[float] = []

    def add(self, channels: int, size: Size) -> None:
        """Count an image of this many channels and this height and width."""
        self._channels.append(channels)
        self._lost.append(lost_share(size, self._spec.size, self._spec.fit))

    @property
    def has_colour(self) -> bool:
        """Whether an image is in colour."""
        return 3 in self._channels

    def remarks(self, *, is_chosen: bool) -> tuple[str, ...]:
        """Return lines about the images, for the log.

        Parameters
        ----------
        is_chosen
            Whether the channels were chosen by sngan, and not by the user.
        """
        mixed = mixed_channels(Counter(self._channels)) if is_chosen else ""
        return tuple(line for line in (mixed, self._crop()) if line)

    def _crop(self) -> str:
        lost = self._lost
        if not lost or max(lost) < _WORTH_SAYING:
            return ""
        mean, worst = sum(lost) / len(lost), max(lost)
        more = "" if math.isclose(mean, worst) else f" on average, {worst:.0%} at worst"
        return (
            f"the crop to resolution {resolution_setting(self._spec.size)} loses {mean:.0%} of an "
            f"image's area{more} (data.fit=pad|stretch or data.resolution=HEIGHTxWIDTH keeps more)"
        )


def mixed_channels(counts: Counter[int]) -> str:
    """Return a line if some of the images are grey and some in colour; otherwise no text."""
    if not (counts[1] and counts[3]):
        return ""
    grey = "is grey and is" if counts[1] == 1 else "are grey and are"
    return (
        f"{counts[1]:,} of {counts.total():,} images {grey} read as colour, like the "
        "others (data.channels=1 reads all as grey)"
    )
