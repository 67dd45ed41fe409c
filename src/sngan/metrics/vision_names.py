"""Names of weights of vision transformers in the files of DINOv2, of CLIP and of Transformers.

Each function returns the weights by the names of DINOv2's own files, which
:class:`~sngan.metrics.vision_transformer.VisionTransformer` has too. Hugging Face's Transformers
has other names for both networks, which its version 5 changed once more, and it keeps the three
parts of an attention's input apart.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# the names of CLIP's own files
_CLIP = {
    r"^conv1\.": "patch_embed.proj.",
    r"^class_embedding$": "cls_token",
    r"^positional_embedding$": "pos_embed",
    r"^ln_pre\.": "norm_pre.",
    r"^ln_post\.": "norm.",
    r"^transformer\.resblocks\.": "blocks.",
    r"\.ln_(\d)\.": r".norm\1.",
    r"\.in_proj_": ".qkv.",
    r"\.out_proj\.": ".proj.",
    r"\.c_fc\.": ".fc1.",
    r"\.c_proj\.": ".fc2.",
}
# the names that both networks have in Transformers
_BLOCKS = {
    r"^encoder\.layers?\.": "blocks.",
    r"\.(?:attention\.attention|attention|self_attn)\.(?:q_proj|query)\.": ".attn.q.",
    r"\.(?:attention\.attention|attention|self_attn)\.(?:k_proj|key)\.": ".attn.k.",
    r"\.(?:attention\.attention|attention|self_attn)\.(?:v_proj|value)\.": ".attn.v.",
    r"\.(?:attention\.output\.dense|attention\.o_proj|self_attn\.out_proj)\.": ".attn.proj.",
}
_DINOV2_OF_TRANSFORMERS = _BLOCKS | {
    r"^embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    r"^embeddings\.position_embeddings$": "pos_embed",
    r"^embeddings\.": "",
    r"\.layer_scale(\d)\.lambda1$": r".ls\1.gamma",
    r"\.mlp\.weights_in\.": ".mlp.w12.",
    r"\.mlp\.weights_out\.": ".mlp.w3.",
    r"^layernorm\.": "norm.",
}
_CLIP_OF_TRANSFORMERS = _BLOCKS | {
    r"^embeddings\.patch_embedding\.": "patch_embed.proj.",
    r"^embeddings\.class_embedding$": "cls_token",
    r"^embeddings\.position_embedding\.weight$": "pos_embed",
    r"^pre_layrnorm\.": "norm_pre.",  # their spelling
    r"^post_layernorm\.": "norm.",
    r"\.layer_norm(\d)\.": r".norm\1.",
}
_PARTS = re.compile(r"(.*\.attn\.)[qkv](\.weight|\.bias)")


def of_dinov2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of DINOv2 from its own file, or from one of Transformers.

    The token of masked images is left out, and so is a head of classes.
    """
    inner = {
        re.sub(r"^dinov2(_with_registers)?\.", "", name): value for name, value in weights.items()
    }
    if "embeddings.cls_token" in inner:
        inner = {name: one for name, one in inner.items() if not name.startswith("classifier.")}
        inner = _joined(_renamed(inner, _DINOV2_OF_TRANSFORMERS))
    return {name: value for name, value in inner.items() if name != "mask_token"}


def of_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the image network's weights of CLIP from its own file, or from one of Transformers.

    The text network in the file is left out.
    """
    theirs = _below("vision_model.", weights)
    if theirs:
        theirs.pop("embeddings.position_ids", None)
        used = _joined(_renamed(theirs, _CLIP_OF_TRANSFORMERS))
        projection = weights.get("visual_projection.weight")
        if projection is not None:
            used["proj"] = projection.T
    else:
        used = _renamed(_below("visual.", weights), _CLIP)
    # CLIP has neither biases of patches nor factors of channels
    ones = {
        name.replace("norm", "ls").replace("weight", "gamma"): torch.ones_like(value)
        for name, value in used.items()
        if re.fullmatch(r"blocks\.\d+\.norm[12]\.weight", name)
    }
    if "cls_token" in used:
        used["patch_embed.proj.bias"] = torch.zeros_like(used["cls_token"])
    return used | ones


def _below(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in weights.items()
        if name.startswith(prefix)
    }


def _renamed(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        own = name
        for theirs, ours in names.items():
            own = re.sub(theirs, ours, own)
        found[own] = value
    return found


def _joined(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the queries, keys and values of each attention to its one linear map."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        part = _PARTS.fullmatch(name)
        if part is None:
            found[name] = value
            continue
        parts = [weights.get(f"{part[1]}{letter}{part[2]}") for letter in "qkv"]
        # an attention that lacks a part keeps the others, which the network then refuses
        known = [one for one in parts if one is not None]
        found[f"{part[1]}qkv{part[2]}"] = torch.cat(known)
    return found
