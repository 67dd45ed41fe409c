"""Many samples: the same whatever the batch, in bounded memory, written behind the drawing."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sngan import Config
from sngan.config import ModelConfig
from sngan.runs import export, run
from sngan.runs.networks import NOISE_BLOCK, build_networks, noise_from_seed
from sngan.runs.run import Run

SHAPES = {"images": (3, 8, 8), "grey": (1, 8, 8), "points": (2,)}
CONDITIONAL = {"conditional": True, "class_names": ("a", "b", "c")}


def untrained(shape: tuple[int, ...], **model) -> Run:
    name = "mlp" if len(shape) == 1 else "cnn"
    settings = ModelConfig(name=name, width=0.1, latent_dim=7, sample_shape=shape, **model)
    torch.manual_seed(0)
    config = Config(model=settings)
    return Run(Path("unused"), config, build_networks(config)[0].eval().requires_grad_(False))


def as_uint8(samples: torch.Tensor) -> np.ndarray:
    return ((samples + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("n", [5, 16, 100])
def test_samples_do_not_depend_on_the_batch(shape, n):
    opened = untrained(shape)
    expected = opened.generate(n, seed=3)
    for batch_size in (16, 48, 256):
        parts = list(opened.batches(n, seed=3, batch_size=batch_size))
        assert [len(part) for part in parts[:-1]] == [batch_size] * (len(parts) - 1)
        torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(opened.generate(n + 9, seed=3)[:n], expected, rtol=1e-5, atol=1e-5)


def test_batches_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="batch_size: expected a multiple of 16, got 20"):
        next(untrained((2,)).batches(50, batch_size=20))


def test_noise_is_one_draw_of_torch():
    for n, dim in ((64, 7), (50, 128)):
        whole = torch.randn(n, dim, generator=torch.Generator().manual_seed(5))
        assert torch.equal(noise_from_seed(n, dim, seed=5), whole)
    assert not torch.equal(noise_from_seed(4, 3, seed=5), noise_from_seed(4, 3, seed=6))


def test_a_batch_takes_half_of_the_free_memory(monkeypatch):
    mib = 2**20
    figures = {
        "memory_allocated": 1000 * mib,
        "max_memory_allocated": 1160 * mib,
        "memory_reserved": 1500 * mib,
        "mem_get_info": (4000 * mib, 80_000 * mib),
        "reset_peak_memory_stats": None,
    }
    for name, value in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda _device, value=value: value)
    # 10 MiB a row, 2250 MiB to take
    assert run._rows_that_fit(16, torch.device("cuda")) == 224
    assert run._rows_that_fit(160, torch.device("cuda")) == run._LARGEST_BATCH
    figures["mem_get_info"] = (0, 80_000 * mib)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: figures["mem_get_info"])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 1000 * mib)
    assert run._rows_that_fit(160, torch.device("cuda")) == NOISE_BLOCK


@pytest.mark.parametrize("model", [{}, CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_npz_is_what_numpy_would_save(tmp_path, shape, model):
    opened = untrained(shape, **model)
    export.export(opened, tmp_path / "samples.npz", n=150, seed=2)
    samples = opened.generate(150, seed=2)
    expected = samples.numpy() if len(shape) == 1 else as_uint8(samples)
    with np.load(tmp_path / "samples.npz") as saved:
        assert set(saved) == ({"samples", "labels"} if model else {"samples"})
        assert saved["samples"].dtype == expected.dtype
        np.testing.assert_array_equal(saved["samples"], expected)
        if model:
            np.testing.assert_array_equal(saved["labels"], np.arange(150) % 3)


@pytest.mark.parametrize("kind", ["images", "grey"])
def test_a_folder_has_each_image_under_its_number(tmp_path, kind):
    opened = untrained(SHAPES[kind])
    export.export(opened, tmp_path / "out", n=150, seed=2)
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == [f"{i:05d}.png" for i in range(150)]
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    expected = as_uint8(opened.generate(150, seed=2))
    np.testing.assert_array_equal(pixels.reshape(expected.shape), expected)


def test_only_so_many_tasks_wait():
    made, done = 0, 0
    lock = threading.Lock()

    def task() -> None:
        nonlocal done
        time.sleep(0.002)
        with lock:
            done += 1

    def tasks():
        nonlocal made
        for _ in range(60):
            with lock:
                assert made - done <= export._WAITING + 1
            made += 1
            yield task

    export._in_background(tasks())
    assert (made, done) == (60, 60)


def test_what_goes_wrong_in_the_background_is_raised(tmp_path):
    opened = untrained((1, 8, 8))
    (tmp_path / "out" / "00003.png").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        export.export(opened, tmp_path / "out", n=2000, overwrite=True)


def test_overwriting_leaves_no_samples_of_before(tmp_path):
    opened = untrained((3, 8, 8))
    folder = tmp_path / "out"
    export.export(opened, folder, n=20)
    (folder / "notes.png").write_text("mine")
    export.export(opened, folder, n=5, overwrite=True)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [*(f"{i:05d}.png" for i in range(5)), "notes.png"]


def test_an_interrupted_npz_leaves_what_was_there(tmp_path, monkeypatch):
    opened = untrained((3, 8, 8))
    out = tmp_path / "samples.npz"
    export.export(opened, out, n=20)
    before = out.read_bytes()
    real = export._array

    def interrupted(batch):
        interrupted.calls += 1
        if interrupted.calls == 2:
            raise KeyboardInterrupt
        return real(batch)

    interrupted.calls = 0
    monkeypatch.setattr(export, "_array", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.export(opened, out, n=500, overwrite=True)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["samples.npz"]
