"""Three channels: images of any number of channels for extractors that know only colour."""

from torch import Tensor


def in_colour(images: Tensor) -> Tensor:
    """Return images ``(n, C, H, W)`` in [−1, 1] with three channels.

    Grey images get three equal channels, and images with opacity get a white background.

    Examples
    --------
    >>> import torch
    >>> in_colour(torch.tensor([-1.0, -1, -1, -1]).view(1, 4, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    if images.shape[1] == 4:
        opacity = (images[:, 3:] + 1) / 2
        return images[:, :3] * opacity + (1 - opacity)
    return images.expand(-1, 3, -1, -1)
