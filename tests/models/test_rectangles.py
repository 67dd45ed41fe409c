"""Networks of rectangular images, and of images with opacity."""

import pytest
import torch
from torch import Tensor

from sngan.models import attention_side, build

FAMILIES = ["cnn", "resnet", "convnext"]
SHAPES = [(3, 8, 24), (1, 48, 16), (4, 16, 16), (3, 20, 36), (4, 24, 8)]


def networks(name: str, shape: tuple[int, ...], **options: object):
    torch.manual_seed(0)
    return build(name, shape, latent_dim=5, width=0.05, **options)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [{}, {"num_classes": 3}, {"pack": 2}, {"minibatch_std": 2}])
def test_shapes(name, shape, options):
    generator, critic = networks(name, shape, **options)
    labels = torch.tensor([0, 2, 1, 1]) if "num_classes" in options else None
    images = generator(torch.randn(4, 5), labels)
    assert images.shape == (4, *shape)
    pack = options.get("pack", 1)
    scores = critic(images.reshape(4 // pack, pack * shape[0], *shape[1:]), labels)
    assert scores.shape == (4 // pack,)
    scores.sum().backward()
    unused = [n for n, p in generator.named_parameters() if p.grad is None]
    assert not unused


def turned(weights: dict[str, Tensor], base: tuple[int, int]) -> dict[str, Tensor]:
    """Weights of the network that sees, or makes, each image with its two sides exchanged."""
    height, width = base
    found = {}
    for name, weight in weights.items():
        changed = weight.mT if weight.dim() > 2 else weight
        if name.startswith("dense.") and len(weight) % (height * width) == 0:
            # a dense layer to maps
            changed = weight.unflatten(0, (-1, height, width)).transpose(1, 2).flatten(0, 2)
        elif (
            name == "dense.weight" and len(weight) == 1 and weight.shape[1] % (height * width) == 0
        ):
            # a dense layer of maps
            changed = weight.unflatten(1, (-1, height, width)).mT.flatten(1)
        found[name] = changed.contiguous()
    return found


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("high", "wide"), [(8, 24), (24, 8), (16, 24)])
def test_height_and_width_are_not_exchanged(name, high, wide):
    """A network with transposed kernels sees and makes transposed images."""
    generator, critic = networks(name, (3, high, wide))
    mirror = networks(name, (3, wide, high))
    times = {8: 1, 16: 2}[min(high, wide)]
    base = high >> times, wide >> times
    mirror[0].load_state_dict(turned(generator.state_dict(), base))
    noise = torch.randn(4, 5)
    images = generator(noise)
    torch.testing.assert_close(mirror[0](noise), images.mT, rtol=1e-4, atol=1e-5)
    weights = critic.state_dict()
    # the critic of resnet sums over all places, and that of convnext has a basis
    mirror[1].load_state_dict(turned(weights, base if name == "cnn" else (10**6, 1)))
    images = torch.randn(4, 3, high, wide)
    torch.testing.assert_close(mirror[1](images.mT), critic(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_rectangle_has_the_stages_of_a_square_of_its_shorter_side(name):
    """Only the layer at the smallest maps grows with the longer side."""
    for rectangle, grown in zip(
        networks(name, (3, 16, 48)), networks(name, (3, 16, 16)), strict=True
    ):
        large, small = rectangle.state_dict(), grown.state_dict()
        assert list(large) == list(small)
        other = [key for key in large if large[key].shape != small[key].shape]
        assert len(other) <= 2
        for key in other:
            assert large[key].numel() == 3 * small[key].numel()


@pytest.mark.parametrize(("shape", "side"), [((3, 32, 96), 8), ((3, 64, 32), 8), ((1, 8, 40), 0)])
def test_attention_is_at_a_quarter_of_the_shorter_side(shape, side):
    assert attention_side(shape) == side
    generator, critic = networks("resnet", shape, attention=side)
    assert critic(generator(torch.randn(2, 5))).shape == (2,)
    if side:
        with pytest.raises(ValueError, match=r"model.attention: expected 0, or 16 or 8 for resnet"):
            networks("resnet", shape, attention=24)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("shape", "near"), [((3, 33, 95), "32x94"), ((3, 6, 96), "8x96"), ((3, 96, 7), "96x8")]
)
def test_what_does_not_fit_is_refused_with_a_size_that_does(name, shape, near):
    message = f"data.resolution: expected an even side .* such as {near}, for {name}, got"
    with pytest.raises(ValueError, match=message):
        networks(name, shape)
    high, wide = map(int, near.split("x"))
    networks(name, (3, high, wide))
