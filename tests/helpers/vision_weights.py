"""Random weights of small vision transformers, by the names of their published files."""

import torch

from helpers.features import normal

WIDTH, DEPTH, PATCH = 128, 2, 14


def drawn(shapes):
    return {
        name: 0.2 * normal(*shape, seed=seed, dtype=torch.float32)
        for seed, (name, shape) in enumerate(shapes.items())
    }


def dino_weights(*, registers=0, gated=False, grid=16):
    w = WIDTH
    shapes = {
        "cls_token": (1, 1, w),
        "pos_embed": (1, grid**2 + 1, w),
        "mask_token": (1, w),
        "patch_embed.proj.weight": (w, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (w,),
        "norm.weight": (w,),
        "norm.bias": (w,),
    }
    if registers:
        shapes["register_tokens"] = (1, registers, w)
    mlp = {"w12": (2 * 96, w), "w3": (w, 96)} if gated else {"fc1": (4 * w, w), "fc2": (w, 4 * w)}
    for index in range(DEPTH):
        own = {"norm1": (w,), "norm2": (w,), "attn.qkv": (3 * w, w), "attn.proj": (w, w)}
        own |= {f"mlp.{name}": shape for name, shape in mlp.items()}
        for name, shape in own.items():
            shapes[f"blocks.{index}.{name}.weight"] = shape
            shapes[f"blocks.{index}.{name}.bias"] = shape[:1]
        shapes |= {f"blocks.{index}.ls{number}.gamma": (w,) for number in (1, 2)}
    return drawn(shapes)


def clip_weights(*, grid=7, patch=32, out=48):
    w = WIDTH
    shapes = {
        "visual.class_embedding": (w,),
        "visual.positional_embedding": (grid**2 + 1, w),
        "visual.proj": (w, out),
        "visual.conv1.weight": (w, 3, patch, patch),
        "text_projection": (8, 8),
        "transformer.resblocks.0.attn.in_proj_weight": (3, 3),
    }
    shapes |= {
        f"visual.ln_{n}.{kind}": (w,) for n in ("pre", "post") for kind in ("weight", "bias")
    }
    for index in range(DEPTH):
        block = f"visual.transformer.resblocks.{index}"
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * w, w),
            f"{block}.attn.in_proj_bias": (3 * w,),
        }
        own = {"attn.out_proj": (w, w), "ln_1": (w,), "ln_2": (w,)}
        own |= {"mlp.c_fc": (4 * w, w), "mlp.c_proj": (w, 4 * w)}
        for name, shape in own.items():
            shapes[f"{block}.{name}.weight"] = shape
            shapes[f"{block}.{name}.bias"] = shape[:1]
    return drawn(shapes)


def of_transformers(weights, *, is_clip, is_new=False):
    """The same weights by the names of Hugging Face's Transformers, of version 5 or before.

    Parameters
    ----------
    weights
        The weights by the names of the published file.
    is_clip
        Whether they are CLIP's, whose image network has the prefix ``vision_model``.
    is_new
        Whether the attention and the gated layer of DINOv2 have the names of version 5.
    """
    named = _clip_of_transformers if is_clip else _dinov2_of_transformers
    found = {}
    for name, value in weights.items():
        prefix, _, kind = name.rpartition(".")
        if prefix.endswith(("attn.qkv", "attn")) and ("qkv" in name or "in_proj" in name):
            kind = kind.removeprefix("in_proj_")
            layer = _layer_of(name, is_clip=is_clip)
            letters = ("query", "key", "value") if not (is_clip or is_new) else "qkv"
            inner = "self_attn" if is_clip else "attention" if is_new else "attention.attention"
            for letter, part in zip(letters, value.chunk(3), strict=True):
                word = f"{letter}_proj" if len(letter) == 1 else letter
                found[f"{layer}.{inner}.{word}.{kind}"] = part
        elif is_new and "mlp.w12" in name:
            layer = _layer_of(name, is_clip=False)
            for word, part in zip(("gate_proj", "up_proj"), value.chunk(2), strict=True):
                found[f"{layer}.mlp.{word}.{kind}"] = part
        else:
            found[named(name, is_new=is_new)] = value
    if is_clip:
        found["visual_projection.weight"] = found.pop("visual_projection.weight").T
        tokens = len(found["vision_model.embeddings.position_embedding.weight"])
        found["vision_model.embeddings.position_ids"] = torch.arange(tokens)[None]
    return found


def _layer_of(name, *, is_clip):
    number = next(part for part in name.split(".") if part.isdecimal())
    return f"vision_model.encoder.layers.{number}" if is_clip else f"encoder.layer.{number}"


def _dinov2_of_transformers(name, *, is_new):
    whole = {
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "register_tokens": "embeddings.register_tokens",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    if name in whole:
        return whole[name]
    _, _, *inner = name.split(".")
    words = {
        "attn.proj": "attention.o_proj" if is_new else "attention.output.dense",
        "mlp.w12": "mlp.weights_in",
        "mlp.w3": "mlp.down_proj" if is_new else "mlp.weights_out",
    }
    last = "lambda1" if inner[-1] == "gamma" else inner[-1]
    middle = ".".join(inner[:-1]).replace("ls", "layer_scale")
    return f"{_layer_of(name, is_clip=False)}.{words.get(middle, middle)}.{last}"


def _clip_of_transformers(name, *, is_new):
    del is_new
    inner = name.removeprefix("visual.")
    whole = {
        "class_embedding": "vision_model.embeddings.class_embedding",
        "positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "proj": "visual_projection.weight",
        "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "ln_post.weight": "vision_model.post_layernorm.weight",
        "ln_post.bias": "vision_model.post_layernorm.bias",
    }
    if inner in whole:
        return whole[inner]
    if inner == name:
        return f"text_model.{name}"
    words = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    middle, _, last = inner.split(".", 3)[3].rpartition(".")
    return f"{_layer_of(name, is_clip=True)}.{words[middle]}.{last}"
