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
    r"\.mlp\.gate_proj\.": ".mlp.w1.",
    r"\.mlp\.up_proj\.": ".mlp.w2.",
    r"\.mlp\.(?:weights_out|down_proj)\.": ".mlp.w3.",
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
# layers that are one linear map in DINOv2's files
_JOINED = {"attn": ("qkv", ("q", "k", "v")), "mlp": ("w12", ("w1", "w2"))}
_PART = re.compile(r"(.*\.)(attn|mlp)\.(?:q|k|v|w1|w2)(\.weight|\.bias)")


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
    """Join queries, keys and values to one linear map, and the two inputs of a gated layer."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        part = _PART.fullmatch(name)
        if part is None:
            found[name] = value
            continue
        block, layer, kind = part.groups()
        whole, letters = _JOINED[layer]
        # if a part is missing, the network refuses the shape of the others
        names = [f"{block}{layer}.{letter}{kind}" for letter in letters]
        found[f"{block}{layer}.{whole}{kind}"] = torch.cat(
            [weights[one] for one in names if one in weights]
        )
    return found
