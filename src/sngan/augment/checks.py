"""Check of the images that an augmentation gets."""

from torch import Tensor

from sngan.utils.checks import require


def require_images(images: Tensor) -> None:
    """Raise ``ValueError`` unless these are floating-point images ``(N, C, H, W)``."""
    require(
        images.is_floating_point() and images.dim() == 4 and images.numel() > 0,
        "images",
        expected="floating-point images (N, C, H, W)",
        got=f"{images.dtype} of shape {tuple(images.shape)}",
    )
