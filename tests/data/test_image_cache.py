"""Image cache: decoded images are kept on disk, and decoded again when they are damaged."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from helpers.pictures import as_tensor, photo
from sngan.data import cache as cache_module
from sngan.data import open_source
from sngan.data.images import decoding as decoding_module


def count_decodes(monkeypatch) -> list:
    calls = []
    original = decoding_module.fitted_pixels
    monkeypatch.setattr(
        decoding_module, "fitted_pixels", lambda *args: calls.append(1) or original(*args)
    )
    return calls


def test_disk_cache_is_reused_and_follows_the_files(folder, tmp_path, monkeypatch):
    calls = count_decodes(monkeypatch)
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    first = open_source(str(folder), **options)
    assert len(calls) == 6
    second = open_source(str(folder), **options)
    assert len(calls) == 6
    assert torch.equal(first.samples, second.samples)
    assert torch.equal(first.labels, second.labels)
    assert second.class_names == ("cat", "dog")
    open_source(str(folder), resolution=8, **options)
    assert len(calls) == 12
    photo(9, (16, 16)).save(folder / "dog" / "9.png")
    assert len(open_source(str(folder), **options)) == 7
    assert len(calls) == 19
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_damaged_cache_is_made_again(folder, tmp_path, suffix, caplog):
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    first = open_source(str(folder), **options)
    expected = first.samples.clone()
    del first
    (victim,) = (tmp_path / "cache").glob(f"*{suffix}")
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    assert torch.equal(open_source(str(folder), **options).samples, expected)
    assert "is damaged" in caplog.text


def test_many_images_are_kept_without_being_asked(folder, tmp_path, monkeypatch):
    options = {"cache_dir": tmp_path / "cache"}
    calls = count_decodes(monkeypatch)
    open_source(str(folder), **options)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(cache_module, "_WORTH_KEEPING", 6)
    first, second = (open_source(str(folder), **options) for _ in range(2))
    assert len(calls) == 12
    assert torch.equal(first.samples, second.samples)
    # without room on disk, images are decoded to memory
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
    third = open_source(str(folder), cache_dir=tmp_path / "full")
    assert torch.equal(first.samples, third.samples)
    assert not list((tmp_path / "full").iterdir())


def test_writing_into_samples_leaves_the_cache_alone(folder, tmp_path):
    options = {"cache": "disk", "cache_dir": tmp_path / "cache"}
    open_source(str(folder), **options)
    mapped = open_source(str(folder), **options).samples
    mapped.zero_()
    assert open_source(str(folder), **options).samples.max() > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_keep_the_order_and_progress_reaches_the_end(folder, workers):
    seen = []
    pets = open_source(
        str(folder), workers=workers, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (6, 6)
    assert torch.equal(pets.samples[4], as_tensor(photo(4, size=(16, 16))))


def test_a_disk_cache_without_room_is_refused(tmp_path, monkeypatch):
    """A mapped file on a full disk would end the process by SIGBUS."""
    for i in range(3):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(cache_module.ImageCache, "has_room", lambda self, shape: False)
    with pytest.raises(ValueError, match=r"^data.cache: expected 'disk' with room for twice 576 b"):
        open_source(str(tmp_path), cache="disk", cache_dir=tmp_path / "cache")
    assert len(open_source(str(tmp_path), cache="auto", cache_dir=tmp_path / "cache")) == 3
