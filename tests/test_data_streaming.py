"""Streamed shards and Parquet against independent readers; resume, ranks, bad input, training."""

import copy
import gc
import gzip
import io
import itertools
import json
import logging
import signal
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import sngan
from sngan import _ranks as ranks
from sngan import config as configs
from sngan import data, training
from sngan.cli import main
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.data import Dataset, Sampler, open_source, shards
from sngan.data import source as source_module
from sngan.data.chunks import Chunk
from sngan.data.lanes import Lanes, rows
from test_data_sources import as_tensor, encoded, photo
from test_training import (
    assert_identical,
    final_state,
    metrics,
    start,
    timeless,
    tiny,
    wait_for_step,
)

LENGTHS = (5, 9, 1, 7, 6, 12)
SIZE = sum(LENGTHS)
# a picture's number is its label in these, so that it can be recognized
PICTURES = [photo(number, (8, 8)) for number in range(SIZE)]


def write_tar(path: Path, members: dict[str, bytes], **options) -> None:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def members_of(numbers: range) -> dict[str, bytes]:
    members = {}
    for number in numbers:
        members[f"some/{number:04}.png"] = encoded(PICTURES[number])
        members[f"some/{number:04}.cls"] = f"{number}\n".encode()
    return members


def numbers_of_chunks() -> list[range]:
    ends = np.cumsum((0, *LENGTHS)).tolist()
    return [range(*pair) for pair in itertools.pairwise(ends)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    for shard, numbers in enumerate(numbers_of_chunks()):
        write_tar(folder / f"train-{shard:03}.tar", members_of(numbers))
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"label": pa.uint8(), "image": kind})
    with pq.ParquetWriter(folder / "all.parquet", schema) as writer:
        for numbers in numbers_of_chunks():
            rows = [{"bytes": encoded(PICTURES[n]), "path": f"{n}.png"} for n in numbers]
            writer.write_table(pa.table({"label": list(numbers), "image": rows}, schema))
    return folder


@pytest.fixture(params=["shards", "parquet"])
def stream(request, folder, tmp_path) -> Dataset:
    return opened(folder, request.param, tmp_path)


def opened(folder: Path, kind: str, cache_dir: Path, **options) -> Dataset:
    names = {"shards": f"shards:{folder}/*.tar", "parquet": f"{folder}/all.parquet"}
    return open_source(names[kind], cache="stream", cache_dir=cache_dir, **options)


def numbers(batch: data.Batch) -> list[int]:
    """The pictures of a batch, told by their pixels; their labels must be theirs."""
    images = ((batch.samples + 1) * 127.5).round().to(torch.uint8)
    for image, label in zip(images, batch.labels.tolist(), strict=True):
        assert torch.equal(image, as_tensor(PICTURES[label]))
    return batch.labels.tolist()


def plain(dataset: Dataset, batch_size: int = 8, **options) -> Sampler:
    return Sampler(dataset, batch_size, dequantize=False, **options)


def test_the_data_set_is_that_of_an_independent_reader(stream, folder):
    assert (len(stream), stream.total, stream.sample_shape) == (SIZE, SIZE, (3, 8, 8))
    assert stream.labels.tolist() == list(range(SIZE))
    assert stream.class_names == tuple(map(str, range(SIZE)))
    assert stream.stream.class_counts.tolist() == [1] * SIZE
    pictures = []
    for file in sorted(folder.glob("*.tar")):
        with tarfile.open(file) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".png"):
                    with Image.open(tar.extractfile(member)) as picture:
                        pictures.append(as_tensor(picture))
    assert torch.equal(stream.samples, torch.stack(pictures))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 8])
def test_every_picture_comes_once_an_epoch(stream, batch_size):
    sampler = plain(stream, batch_size)
    drawn = [n for _ in range(-(-3 * SIZE // batch_size)) for n in numbers(sampler.next())]
    times = np.bincount(drawn, minlength=SIZE)
    # lanes may have begun the fourth epoch while others end the third
    assert times.min() >= 2
    assert times.max() <= 4


def test_one_lane_draws_whole_epochs(stream):
    sampler = plain(stream, 1)
    drawn = [numbers(sampler.next())[0] for _ in range(2 * SIZE)]
    assert sorted(drawn[:SIZE]) == sorted(drawn[SIZE:]) == list(range(SIZE))
    assert drawn[:SIZE] != drawn[SIZE:]
    # shuffled inside the chunks as well
    within = [n for n in drawn[:SIZE] if n >= SIZE - LENGTHS[-1]]
    assert within != sorted(within)
    other = plain(stream, 1, seed=1)
    assert [numbers(other.next())[0] for _ in range(SIZE)] != drawn[:SIZE]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(before=st.integers(0, 3 * SIZE), batch_size=st.sampled_from([1, 4, 6, 16]))
def test_resume_is_exact_and_reads_nothing_again(stream, before, batch_size):
    sampler = plain(stream, batch_size)
    for _ in range(before // batch_size):
        sampler.next()
    state = copy.deepcopy(sampler.state_dict())
    expected = [sampler.next() for _ in range(4)]
    chunks, read = counted(stream.stream.chunks)
    resumed = plain(
        replace(stream, stream=replace(stream.stream, chunks=chunks, workers=1)), batch_size
    )
    resumed.load_state_dict(state)
    for batch in expected:
        again = resumed.next()
        assert torch.equal(again.samples, batch.samples)
        assert torch.equal(again.labels, batch.labels)
    current = {chunk for _, chunk, _ in state["lanes"]}
    assert current <= set(read)


def counted(chunks: tuple[Chunk, ...]) -> tuple[tuple[Chunk, ...], list[int]]:
    """The same chunks, and a list that grows by the number of each that is opened."""
    read: list[int] = []

    def opening(number: int):
        def open_chunk():
            read.append(number)
            return chunks[number].open()

        return open_chunk

    return tuple(Chunk(c.length, opening(n)) for n, c in enumerate(chunks)), read


def as_rank(monkeypatch, own: int, count: int) -> None:
    monkeypatch.setattr(ranks, "own", lambda: own)
    monkeypatch.setattr(ranks, "count", lambda: count)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_ranks_share_the_batches_of_one(stream, monkeypatch, count):
    whole = plain(stream, 6)
    expected = [numbers(whole.next()) for _ in range(20)]
    parts, states = [], []
    for own in range(count):
        as_rank(monkeypatch, own, count)
        sampler = plain(stream, 6)
        parts.append([numbers(sampler.next()) for _ in range(20)])
        states.append(sampler.state_dict())
    assert [sum(batch, []) for batch in zip(*parts, strict=True)] == expected  # noqa: RUF017
    assert all(state == whole.state_dict() for state in states)


def test_each_rank_opens_its_own_chunks_only(stream, monkeypatch):
    lanes = Lanes(LENGTHS, 2, seed=0)
    # two batches are read ahead
    batches = [lanes.next() for _ in range(22)]
    owned = []
    for own in range(2):
        as_rank(monkeypatch, own, 2)
        chunks, read = counted(stream.stream.chunks)
        sampler = plain(replace(stream, stream=replace(stream.stream, chunks=chunks, workers=1)), 2)
        for _ in range(21):
            sampler.next()
        for loaded, _ in sampler._rows._pending:
            loaded.result()
        dealt = {(p.epoch, p.chunk): None for batch in batches for p in rows(batch, own, own + 1)}
        assert read == [chunk for _, chunk in dealt]
        owned.append(set(dealt))
    assert not owned[0] & owned[1]


def test_a_stream_that_is_larger_is_represented_at_equal_distances(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "_REPRESENTATIVE", 10)
    for kind in ("shards", "parquet"):
        some = opened(folder, kind, tmp_path)
        assert (len(some), some.total) == (10, SIZE)
        assert some.labels.tolist() == [i * SIZE // 10 for i in range(10)]
        for index, label in enumerate(some.labels.tolist()):
            assert torch.equal(some.samples[index], as_tensor(PICTURES[label]))
        sampler = plain(some, 1)
        assert sorted(numbers(sampler.next())[0] for _ in range(SIZE)) == list(range(SIZE))


@pytest.mark.parametrize("cache", ["memory", "device", "disk"])
def test_shards_can_be_decoded_at_once(folder, tmp_path, cache):
    source = f"shards:{folder}/*.tar"
    whole = open_source(source, cache=cache, cache_dir=tmp_path)
    assert whole.stream is None
    assert torch.equal(whole.samples, opened(folder, "shards", tmp_path).samples)
    assert whole.labels.tolist() == list(range(SIZE))


def test_auto_streams_shards_and_not_parquet(folder, tmp_path):
    assert open_source(f"shards:{folder}/*.tar", cache_dir=tmp_path).stream is not None
    assert open_source(f"{folder}/all.parquet", cache_dir=tmp_path).stream is None


def test_resolution_and_channels(folder, tmp_path):
    grey = opened(folder, "shards", tmp_path, resolution=4, channels=1)
    batch = plain(grey).next()
    assert batch.samples.shape == (8, 1, 4, 4)
    whole = open_source(f"{folder}/all.parquet", resolution=4, channels=1, cache="memory")
    expected = whole.values(batch.labels)
    assert torch.equal(batch.samples, expected)


def test_labels_are_drawn_in_the_frequencies_of_all(tmp_path):
    pictures = {f"{n}.png": encoded(PICTURES[n]) for n in range(40)}
    labels = {f"{n}.cls": str(3 if n < 30 else n % 2).encode() for n in range(40)}
    write_tar(tmp_path / "a.tar", dict(sorted((pictures | labels).items())))
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    assert dataset.class_names == ("0", "1", "2", "3")
    torch.manual_seed(0)
    shares = torch.bincount(plain(dataset).draw_labels(20_000), minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.125, 0.125, 0, 0.75]), atol=0.015, rtol=0)
    assert plain(replace(dataset, labels=None)).draw_labels(5) is None
    assert plain(replace(dataset, labels=None)).next().labels is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"cls": b"7\n"}, 7),
        ({"json": b'{"label": 5, "text": "x"}'}, 5),
        ({"cls": b"2", "json": b'{"label": 5}'}, 2),
        ({"json": b'{"label": 5}', "cls": b"cat"}, 5),
    ],
)
def test_where_labels_come_from(tmp_path, names, expected):
    members = {f"a.{extension}": content for extension, content in names.items()}
    write_tar(tmp_path / "a.tar", {"a.jpg.txt": b"x", **members, "a.png": encoded(PICTURES[0])})
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    assert dataset.labels.tolist() == [expected]


@pytest.mark.parametrize(
    ("label", "warning"),
    [
        ({"json": b"{"}, ""),
        ({"json": b"[" * 100_000}, ""),
        ({"json": b'{"label": "cat"}'}, ""),
        ({"cls": b"-1"}, ""),
        ({"cls": b"99999999"}, "labels up to 99999999 are taken for no classes"),
    ],
)
def test_what_is_no_label(tmp_path, label, warning, caplog):
    members = {f"a.{extension}": content for extension, content in label.items()}
    write_tar(tmp_path / "a.tar", {"a.png": encoded(PICTURES[0]), **members})
    assert open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path).labels is None
    assert warning in caplog.text


def test_labels_that_some_lack_are_not_used(tmp_path, caplog):
    members = {"a.png": encoded(PICTURES[0]), "a.cls": b"1", "b.png": encoded(PICTURES[1])}
    write_tar(tmp_path / "a.tar", members)
    assert open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path).labels is None
    assert "1 samples have no label" in caplog.text


def test_samples_are_what_shares_a_name_up_to_its_first_dot(tmp_path):
    long = "a/" * 60 + "n" * 120
    names = [
        "x/a.png",
        "x/a.json",
        "y/a.JPG",
        "y/.hidden.png",
        "y/b.txt",
        "c.d.png",
        f"{long}.webp",
    ]
    formats = {"JPG": "JPEG", "webp": "WEBP"}
    members = {n: encoded(PICTURES[0], formats.get(n.rpartition(".")[2], "PNG")) for n in names}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        write_tar(tmp_path / "a.tar", members, format=form)
        dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path / str(form))
        # of x/a, y/a and the long name; c.d.png has the extension d.png
        assert dataset.total == 3


def test_links_and_names_that_leave_the_archive_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(PICTURES[9]))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"link{kind}.png")
            link.type, link.linkname = kind, str(tmp_path / "secret.png")
            tar.addfile(link)
        outside = tarfile.TarInfo("../../outside.png")
        content = encoded(PICTURES[1])
        outside.size = len(content)
        tar.addfile(outside, io.BytesIO(content))
    before = sorted(path.name for path in tmp_path.iterdir())
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache="stream", cache_dir=tmp_path / "cache")
    assert torch.equal(dataset.samples, as_tensor(PICTURES[1])[None])
    assert sorted(path.name for path in tmp_path.iterdir()) == [*before[:1], "cache", *before[1:]]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.tar", [0, 1, 2, 3, 4, 5]),
        ("train-{001..003}.tar", [1, 2, 3]),
        ("train-{9..10}.tar", None),
        ("train-00{0,4}.tar", [0, 4]),
        ("{train,test}-00{4..5}.tar", None),
        ("train-00[12].tar", [1, 2]),
        ("none-*.tar", None),
        ("train-{004..007}.tar", None),
    ],
)
def test_patterns(folder, tmp_path, pattern, found):
    source = f"shards:{folder}/{pattern}"
    if found is None:
        with pytest.raises(ValueError, match=r"^data: expected tar files that match .*, got no "):
            open_source(source, cache_dir=tmp_path)
        return
    wanted = [number for shard in found for number in numbers_of_chunks()[shard]]
    assert open_source(source, cache_dir=tmp_path).labels.tolist() == wanted


def damaged(content: bytes) -> bytes:
    return content[:2048] + b"\xff" * 512 + content[2560:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (gzip.compress, "expected uncompressed tar files, got .*, gzip"),
        (lambda _: b"these are not the shards you are looking for", "expected a whole tar file"),
        (lambda _: b"", "expected a whole tar file"),
        (lambda tar: tar[:3000], "expected a whole tar file, got .*end of data"),
        (damaged, "expected a whole tar file, got .*damaged at byte 2048"),
    ],
)
def test_damaged_shards(folder, tmp_path, change, message):
    content = (folder / "train-000.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(change(content))
    with pytest.raises(ValueError, match=f"^data: {message}"):
        open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)


def test_a_folder_is_no_shard(tmp_path):
    (tmp_path / "a.tar").mkdir()
    with pytest.raises(ValueError, match=r"^data: expected a whole tar file, got .*Is a directory"):
        open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)


def test_shards_without_images(tmp_path):
    write_tar(tmp_path / "a.tar", {"a.txt": b"x", "b.cls": b"1"})
    with pytest.raises(ValueError, match=r"^data: expected images in .*, got none by extension"):
        open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    write_tar(tmp_path / "a.tar", {"a.png": b"no picture"})
    with pytest.raises(ValueError, match=r"^data: expected images, got none among 1 files"):
        open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)


@pytest.mark.parametrize("source", ["digits", "ring8", "/no/such", __file__])
def test_what_cannot_be_streamed(source):
    message = r"^data.cache: expected stream only for shards:PATTERN and Parquet, got it for "
    with pytest.raises(ValueError, match=message):
        open_source(source, cache="stream")


def test_members_that_are_no_pictures_are_skipped_and_counted(tmp_path, caplog):
    members = members_of(range(12))
    for number in (0, 5, 6):
        members[f"some/{number:04}.png"] = b"no picture"
    write_tar(tmp_path / "a.tar", members)
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    assert dataset.labels.tolist() == [1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert [skip.name for skip in dataset.skipped] == [
        f"{tmp_path}/a.tar, image {number}" for number in (0, 5, 6)
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="sngan"):
        sampler = plain(dataset, 3)
        drawn = [numbers(sampler.next()) for _ in range(8)]
    # others of the chunk take their rows
    assert {n for batch in drawn for n in batch} == {1, 2, 3, 4, 7, 8, 9, 10, 11}
    assert caplog.text.count("skipped ") == 3
    assert "(3 so far)" in caplog.text


def test_the_index_is_kept_and_follows_the_files(folder, tmp_path, monkeypatch, caplog):
    write_tar(tmp_path / "a.tar", members_of(range(3)))
    scans = []
    scan = shards._members
    monkeypatch.setattr(shards, "_members", lambda path: scans.append(path) or scan(path))
    source = f"shards:{tmp_path}/a.tar"
    for _ in range(2):
        assert open_source(source, cache_dir=tmp_path).total == 3
    assert len(scans) == 1
    write_tar(tmp_path / "a.tar", members_of(range(4)))
    assert open_source(source, cache_dir=tmp_path).total == 4
    assert len(scans) == 2
    for file in tmp_path.glob("*.members.npy"):
        file.write_bytes(file.read_bytes()[:-8])
    assert open_source(source, cache_dir=tmp_path).total == 4
    assert len(scans) == 3
    assert "is damaged" in caplog.text


def test_a_shard_that_vanishes_is_an_error_of_next(folder, tmp_path):
    (tmp_path / "a.tar").write_bytes((folder / "train-001.tar").read_bytes())
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    sampler = plain(dataset)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.tar"):
        sampler.next()


def test_a_shard_that_shrinks_is_an_error_of_next(folder, tmp_path):
    (tmp_path / "a.tar").write_bytes((folder / "train-001.tar").read_bytes())
    dataset = open_source(f"shards:{tmp_path}/a.tar", cache_dir=tmp_path)
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^data: expected images, got none that can be read"):
        plain(dataset).next()


def test_threads_end_with_the_sampler(stream):
    gc.collect()
    before = set(threading.enumerate())
    sampler = plain(stream)
    sampler.next()
    started = [t for t in set(threading.enumerate()) - before if t.name.startswith("sngan-data")]
    assert started
    del sampler
    gc.collect()
    for thread in started:
        thread.join(timeout=10)
        assert not thread.is_alive()


def run_config(folder: Path, out: Path, **changes) -> sngan.Config:
    read = DataConfig(source=f"shards:{folder}/*.tar", flip=True)
    model = ModelConfig(width=0.1, latent_dim=8, conditional=True)
    return tiny(out, data=read, model=model, **changes)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
@pytest.mark.bitwise
def test_training_resumes_bit_for_bit(folder, tmp_path):
    whole = run_config(folder, tmp_path / "whole", steps=40)
    parts = run_config(folder, tmp_path / "parts", steps=20)
    training.train(whole)
    training.train(parts)
    training.train(replace(parts, steps=40), resume=True)
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    assert timeless(metrics(tmp_path / "whole")) == timeless(metrics(tmp_path / "parts"))
    assert configs.load(tmp_path / "whole" / "config.yaml").model.num_classes == SIZE


@pytest.mark.usefixtures("cache")
def test_evaluation_of_a_streamed_run(folder, tmp_path, capsys):
    evaluation = EvaluationConfig(every=2, samples=20, extractor="pixels")
    read = DataConfig(source=f"{folder}/all.parquet", cache="stream")
    config = run_config(folder, tmp_path / "run", steps=2, evaluation=evaluation)
    training.train(replace(config, data=read))
    assert metrics(tmp_path / "run")[-1]["evaluation"]["frechet"] > 0
    capsys.readouterr()
    for number in range(20):
        PICTURES[number].save(tmp_path / f"{number}.png")
    # against its own data, and against what cannot be streamed
    for source in ([], ["--data", str(tmp_path)]):
        assert main(["evaluate", str(tmp_path / "run"), *source, "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["n_real"] == 20


@pytest.mark.usefixtures("cache")
def test_resuming_with_fewer_samples_is_refused(folder, tmp_path):
    for file in folder.glob("*.tar"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = run_config(tmp_path, tmp_path / "run", steps=2)
    training.train(config)
    (tmp_path / "train-000.tar").unlink()
    model = replace(config, steps=4)
    with pytest.raises(ValueError, match=f"expected the {SIZE} samples that the run"):
        training.train(model, resume=True)


@pytest.mark.usefixtures("cache")
def test_the_command_line_takes_shards(folder, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ["--steps", "2", "--set", "width=0.1", "latent_dim=8", "batch_size=8", "n_critic=1"]
    source = f"shards:{folder}/train-{{000..005}}.tar"
    assert main(["train", "--data", source, "--out", str(out), *flags]) == 0
    assert main(["train", "--data", "shards:none*.tar", "--out", f"{out}2", *flags]) == 2
    assert capsys.readouterr().err == (
        "sngan: error: --data: expected tar files that match none*.tar, got no none*.tar\n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_two_processes_train_what_one_does(folder, tmp_path):
    alone = PerformanceConfig(device="cpu")
    one = run_config(folder, tmp_path / "one", performance=alone, steps=30)
    training.train(one)
    two = PerformanceConfig(device="cpu", devices=2)
    training.train(run_config(folder, tmp_path / "two", performance=two, steps=15))
    training.train(replace(one, out=str(tmp_path / "two")), resume=True)
    states = [final_state(tmp_path / name) for name in ("one", "two")]
    assert states[0]["sampler"] == states[1]["sampler"]
    losses = [[r["critic_loss"] for r in metrics(tmp_path / name)] for name in ("one", "two")]
    # float32 sums in another order
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_an_interrupt_ends_a_streamed_run(folder, tmp_path):
    process = start(tmp_path / "run", "--data", f"shards:{folder}/*.tar", "--steps", "100000")
    wait_for_step(tmp_path / "run", 10, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.startswith("sngan: error: interrupted at step ")
    assert len(errors.splitlines()) == 1
