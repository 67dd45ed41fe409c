"""DINOv2 and CLIP: their forward pass, weights files and preprocessing, on random weights."""

import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from helpers.features import normal, uniform
from helpers.vision_weights import DEPTH, WIDTH, clip_weights, dino_weights, of_transformers
from sngan.data import Dataset
from sngan.metrics import Evaluator
from sngan.metrics.preprocessing import CLIP, IMAGENET, for_clip, for_dinov2, resized
from sngan.metrics.vision_transformer import clip, dinov2
from sngan.metrics.weights_file import read_weights

pytestmark = pytest.mark.usefixtures("own_cache")


def torch_block(activation, epsilon, parts):
    """PyTorch's own layer of a transformer, with weights under its names."""
    options = {"activation": activation, "layer_norm_eps": epsilon, "norm_first": True}
    layer = nn.TransformerEncoderLayer(
        WIDTH, WIDTH // 64, 4 * WIDTH, dropout=0.0, batch_first=True, **options
    )
    layer.load_state_dict(parts)
    return layer.eval()


def dino_reference(weights, images):
    """DINOv2 by PyTorch's layers; factors of channels are part of the linear maps before them."""
    x = F.conv2d(images, *(weights[f"patch_embed.proj.{k}"] for k in ("weight", "bias")), stride=14)
    x = torch.cat([weights["cls_token"].expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1)
    x = x + weights["pos_embed"]
    if "register_tokens" in weights:
        extra = weights["register_tokens"].expand(len(x), -1, -1)
        x = torch.cat([x[:, :1], extra, x[:, 1:]], 1)
    for index in range(DEPTH):
        own = {
            k.split(".", 2)[2]: v for k, v in weights.items() if k.startswith(f"blocks.{index}.")
        }
        first, second = own["ls1.gamma"], own["ls2.gamma"]
        parts = {
            "self_attn.in_proj_weight": own["attn.qkv.weight"],
            "self_attn.in_proj_bias": own["attn.qkv.bias"],
            "self_attn.out_proj.weight": first[:, None] * own["attn.proj.weight"],
            "self_attn.out_proj.bias": first * own["attn.proj.bias"],
            "linear1.weight": own["mlp.fc1.weight"],
            "linear1.bias": own["mlp.fc1.bias"],
            "linear2.weight": second[:, None] * own["mlp.fc2.weight"],
            "linear2.bias": second * own["mlp.fc2.bias"],
        }
        parts |= {f"norm{n}.{k}": own[f"norm{n}.{k}"] for n in (1, 2) for k in ("weight", "bias")}
        x = torch_block(F.gelu, 1e-6, parts)(x)
    return F.layer_norm(x[:, 0], (WIDTH,), weights["norm.weight"], weights["norm.bias"], 1e-6)


def clip_reference(weights, images):
    own = {k.removeprefix("visual."): v for k, v in weights.items() if k.startswith("visual.")}
    x = F.conv2d(images, own["conv1.weight"], stride=own["conv1.weight"].shape[-1])
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([own["class_embedding"].expand(len(x), 1, -1), x], 1)
    x = x + own["positional_embedding"]
    x = F.layer_norm(x, (WIDTH,), own["ln_pre.weight"], own["ln_pre.bias"])
    theirs = {"self_attn": "attn", "linear1": "mlp.c_fc", "linear2": "mlp.c_proj"}
    theirs |= {"norm1": "ln_1", "norm2": "ln_2"}
    for index in range(DEPTH):
        layer = nn.TransformerEncoderLayer(WIDTH, WIDTH // 64, 4 * WIDTH, norm_first=True)
        parts = {}
        for name in layer.state_dict():
            head, rest = name.split(".", 1)
            parts[name] = own[f"transformer.resblocks.{index}.{theirs[head]}.{rest}"]
        x = torch_block(lambda v: v * torch.sigmoid(1.702 * v), 1e-5, parts)(x)
    x = F.layer_norm(x[:, 0], (WIDTH,), own["ln_post.weight"], own["ln_post.bias"])
    return x @ own["proj"]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("registers", [0, 4])
@torch.no_grad()
def test_dinov2_computes_as_the_layers_of_pytorch(registers):
    weights, images = dino_weights(registers=registers), normal(2, 3, 224, 224, dtype=torch.float32)
    found = dinov2(weights)(images)
    assert torch.allclose(found, dino_reference(weights, images), atol=2e-4)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("grid", "patch"), [(7, 32), (14, 16)])
@torch.no_grad()
def test_clip_computes_as_the_layers_of_pytorch(grid, patch):
    weights = clip_weights(grid=grid, patch=patch)
    network, images = clip(weights), normal(2, 3, 224, 224, dtype=torch.float32)
    assert network.side == 224
    assert torch.allclose(network(images), clip_reference(weights, images), atol=2e-4)


@torch.no_grad()
def test_the_gated_layer_of_the_largest_dinov2():
    weights, images = dino_weights(gated=True), normal(1, 3, 224, 224, dtype=torch.float32)
    block = dinov2(weights).blocks[0]
    x = normal(1, 5, WIDTH, dtype=torch.float32)
    own = {name: weights[f"blocks.0.mlp.{name}"] for name in ("w12.weight", "w12.bias")}
    both = x @ own["w12.weight"].T + own["w12.bias"]
    hidden = both[..., :96] / (1 + (-both[..., :96]).exp()) * both[..., 96:]
    expected = hidden @ weights["blocks.0.mlp.w3.weight"].T + weights["blocks.0.mlp.w3.bias"]
    assert torch.allclose(block.mlp(x), expected, atol=1e-5)
    assert dinov2(weights)(images).shape == (1, WIDTH)


@torch.no_grad()
def test_positions_are_resized_to_the_grid_of_the_images():
    """A constant field stays constant, and a linear one stays linear inside."""
    for registers in (0, 4):
        weights = dino_weights(registers=registers, grid=37)
        ramp = torch.arange(37.0).repeat_interleave(37)[:, None].expand(-1, WIDTH)
        weights["pos_embed"] = torch.cat([torch.zeros(1, WIDTH), ramp])[None]
        found = {}
        network = dinov2(weights)
        network.norm_pre.register_forward_hook(lambda _m, args, _o, f=found: f.update(x=args[0]))
        network(torch.zeros(1, 3, 224, 224))
        bias = weights["patch_embed.proj.bias"]
        rows = (found["x"][0, 1 + registers :] - bias)[:, 0].view(16, 16)
        assert torch.allclose(rows, rows[:, :1].expand(-1, 16), atol=1e-4)
        # row i of 16 lies at (i + 1/2)·37/16 − 1/2; networks without registers have 16.1 for 16
        scale = 37 / (16 if registers else 16.1)
        expected = (torch.arange(16.0) + 0.5) * scale - 0.5
        assert torch.allclose(rows[1:-1, 0], expected[1:-1], atol=0.12)
        assert abs(float(rows[9, 0] - rows[8, 0]) - scale) < 0.06


@torch.no_grad()
@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("options", [{}, {"registers": 4}, {"gated": True}])
@pytest.mark.parametrize("prefix", ["", "dinov2.", "dinov2_with_registers."])
def test_weights_of_dinov2_by_the_names_of_transformers(is_new, options, prefix):
    weights, images = dino_weights(**options), normal(1, 3, 224, 224, dtype=torch.float32)
    theirs = of_transformers(weights, is_clip=False, is_new=is_new)
    named = {f"{prefix}{name}": value for name, value in theirs.items()}
    if prefix:
        named["classifier.weight"] = normal(10, 2 * WIDTH)
    assert torch.equal(dinov2(named)(images), dinov2(weights)(images))
    assert not set(theirs) & set(weights)


@torch.no_grad()
def test_weights_of_clip_by_the_names_of_transformers():
    weights, images = clip_weights(), normal(2, 3, 224, 224, dtype=torch.float32)
    theirs = of_transformers(weights, is_clip=True)
    assert torch.equal(clip(theirs)(images), clip(weights)(images))
    assert not set(theirs) & set(weights)


@pytest.mark.parametrize("name", ["query.weight", "output.dense.bias", "layer_scale2.lambda1"])
def test_weights_of_transformers_that_lack_one_are_refused(name):
    theirs = of_transformers(dino_weights(), is_clip=False)
    (lacking,) = [key for key in theirs if key.endswith(name) and ".1." in key]
    del theirs[lacking]
    with pytest.raises(ValueError, match=r"^weights: expected those of DINOv2, got others"):
        dinov2(theirs)


def test_a_clip_of_transformers_without_its_projection_is_refused():
    theirs = of_transformers(clip_weights(), is_clip=True)
    del theirs["visual_projection.weight"]
    with pytest.raises(ValueError, match=r"got none named \['proj'\]"):
        clip(theirs)


def by_pillow(levels, rows, columns):
    """Pillow's result, columns first: since Pillow 13 its order depends on the sizes."""
    picture = Image.fromarray(levels[0].permute(1, 2, 0).numpy().astype(np.uint8))
    for size in ((columns, picture.height), (columns, rows)):
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture).astype(float)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (40, 96), (300, 200), (224, 224)])
def test_images_are_resized_as_pillow_does(shape):
    levels = (uniform(1, 3, *shape) * 255).round()
    theirs = by_pillow(levels, 224, 224)
    found = resized(levels / 127.5 - 1, 224, 224)[0].permute(1, 2, 0).numpy()
    # a level that is rounded otherwise between the passes can change the result by two
    assert np.abs(found - theirs).max() <= 2
    assert np.mean(found != theirs) < 0.02


def normalized_by_hand(pixels, mean, deviation):
    return (pixels / 255 - np.array(mean)) / np.array(deviation)


def test_the_preprocessing_of_dinov2_is_that_of_its_metric():
    assert IMAGENET == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    levels = (uniform(1, 3, 40, 96) * 255).round()
    expected = normalized_by_hand(by_pillow(levels, 224, 224), *IMAGENET)
    found = for_dinov2(levels / 127.5 - 1, 224)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 2.01 / 255 / 0.224


@pytest.mark.parametrize("shape", [(48, 48), (40, 97), (97, 40)])
def test_the_preprocessing_of_clip_is_that_of_its_code(shape):
    assert CLIP[0] == (0.48145466, 0.4578275, 0.40821073)
    assert CLIP[1] == (0.26862954, 0.26130258, 0.27577711)
    levels = (uniform(1, 3, *shape) * 255).round()
    rows, columns = shape
    longer = int(224 * max(shape) / min(shape))
    theirs = by_pillow(levels, *((224, longer) if columns > rows else (longer, 224)))
    top, left = (round((length - 224) / 2) for length in theirs.shape[:2])
    cut = theirs[top : top + 224, left : left + 224]
    found = for_clip(levels / 127.5 - 1, 224)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - normalized_by_hand(cut, *CLIP)).max() < 2.01 / 255 / 0.261


class Named(nn.Module):
    """A module whose state holds these weights, to save them as TorchScript as CLIP was."""

    def __init__(self, weights):
        super().__init__()
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), value)

    def forward(self, x):
        return x


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_an_evaluation_by_weights_from_a_file(ending, tmp_path):
    pixels = (uniform(24, 1, 8, 8) * 255).to(torch.uint8)
    data = Dataset("grey", pixels)
    for name, weights in {"clip": clip_weights(), "dinov2": dino_weights()}.items():
        path = tmp_path / f"{name}.{ending}"
        half = {key: value.half() for key, value in weights.items()}
        save_file(half, path) if ending == "safetensors" else torch.save(half, path)
        found = Evaluator(data, name, samples=12, weights=path)(data.values(torch.arange(12)))
        assert found.extractor.startswith(f"{name} (")
        assert all(map(math.isfinite, found.values.values()))


def test_weights_of_torchscript_are_read_without_its_code(tmp_path):
    weights = {"a": normal(3), "b": normal(2, 2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Named(weights)).save(str(tmp_path / "named.pt"))
    found = read_weights(tmp_path / "named.pt")
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path):
    data = Dataset("grey", torch.zeros(20, 1, 8, 8, dtype=torch.uint8))
    torch.save(dino_weights(), tmp_path / "dino.pth")
    shorter = {k: v for k, v in dino_weights().items() if not k.endswith("ls2.gamma")}
    torch.save(shorter, tmp_path / "shorter.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "damaged.pth").write_bytes(b"no weights")
    for name, path, said in [
        ("clip", None, "weights: expected a file of the published weights of clip, got nothing"),
        ("clip", tmp_path / "missing.pth", "weights: expected a file of weights, got none at"),
        ("clip", tmp_path / "dino.pth", "weights: expected those of CLIP's vision transformer"),
        ("dinov2", tmp_path / "shorter.pth", "weights: expected those of DINOv2, got others"),
        ("dinov2", tmp_path / "list.pth", "weights: expected named tensors in .*, got list"),
        ("dinov2", tmp_path / "damaged.pth", "weights: expected named tensors in"),
    ]:
        with pytest.raises(ValueError, match=said) as raised:
            Evaluator(data, name, weights=path)
        assert "\n" not in str(raised.value)
