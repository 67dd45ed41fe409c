"""Random smooth images, encoded, as tensors, and in Parquet tables."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image


def photo(seed: int, size=(24, 16), mode: str = "RGB") -> Image.Image:
    """Make a smooth random image, whose resized pixels are true averages."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).reshape(*picture.size[::-1], -1).permute(2, 0, 1)


def write_parquet(path: Path, *, labels=True, names=("cat", "dog"), start=0) -> None:
    rows = [{"bytes": encoded(photo(start + i, (8, 8))), "path": f"{i}.png"} for i in range(4)]
    columns = {"img": pa.array(rows)}
    if labels:
        columns["label"] = pa.array([0, 1, 1, 0])
    table = pa.table(columns)
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
