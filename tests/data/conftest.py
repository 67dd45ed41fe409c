"""Fixtures of the tests of data."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.pictures import encoded, photo
from helpers.streams import PICTURES, members_of, numbers_of_chunks, opened, write_tar
from sngan.data import Dataset


@pytest.fixture
def folder(tmp_path):
    """Two classes of three pictures each."""
    for index in range(6):
        path = tmp_path / "pets" / ("cat" if index < 3 else "dog") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(index, size=(16, 16)).save(path)
    return tmp_path / "pets"


@pytest.fixture(scope="module")
def streams(tmp_path_factory) -> Path:
    streams = tmp_path_factory.mktemp("streams")
    for shard, numbers in enumerate(numbers_of_chunks()):
        write_tar(streams / f"train-{shard:03}.tar", members_of(numbers))
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"label": pa.uint8(), "image": kind})
    with pq.ParquetWriter(streams / "all.parquet", schema) as writer:
        for numbers in numbers_of_chunks():
            rows = [{"bytes": encoded(PICTURES[n]), "path": f"{n}.png"} for n in numbers]
            writer.write_table(pa.table({"label": list(numbers), "image": rows}, schema))
    return streams


@pytest.fixture(params=["shards", "parquet"])
def stream(request, streams, tmp_path) -> Dataset:
    return opened(streams, request.param, tmp_path)
