"""Tar shards: labels, names, patterns, damage, and the index on disk."""

import gzip
import io
import logging
import tarfile

import pytest
import torch

from helpers.pictures import as_tensor, encoded
from helpers.streams import PICTURES, members_of, numbers, numbers_of_chunks, plain, write_tar
from sngan.data import open_source
from sngan.data.sources import shard_index


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
        ({"cls": b"99999999"}, "labels up to 99999999 are too large for classes"),
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
    assert "1 sample has no label" in caplog.text


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
        # the images are x/a, y/a and the long name; c.d.png has the extension d.png
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
def test_patterns(streams, tmp_path, pattern, found):
    source = f"shards:{streams}/{pattern}"
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
def test_damaged_shards(streams, tmp_path, change, message):
    content = (streams / "train-000.tar").read_bytes()
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
    with pytest.raises(ValueError, match=r"^data: expected images, got none among 1 file"):
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
    # readable images of the chunk take the rows of those that were skipped
    assert {n for batch in drawn for n in batch} == {1, 2, 3, 4, 7, 8, 9, 10, 11}
    assert caplog.text.count("skipped ") == 3
    assert "(3 so far)" in caplog.text


def test_the_index_is_kept_and_follows_the_files(streams, tmp_path, monkeypatch, caplog):
    write_tar(tmp_path / "a.tar", members_of(range(3)))
    scans = []
    scan = shard_index.scan_tar
    monkeypatch.setattr(shard_index, "scan_tar", lambda *a, **k: scans.append(a) or scan(*a, **k))
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
