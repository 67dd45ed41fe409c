"""`generate --overwrite` and `compare --overwrite` replace their own files, by their lists."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sngan
from helpers.examples import examples
from helpers.folders import SMALL, contents, kept, tiny, without_a_list, write_all
from sngan.cli import main
from sngan.runs import export

NOTES = {"notes.txt": b"mine", "20240101.png": b"mine", "000123.png": b"mine"}
COMPARE = ["compare", "--methods", "sn", "--steps", "2", "--seeds", "1", "--samples", "20", *SMALL]


@pytest.fixture(scope="module")
def opened():
    from sngan.config import Config, ModelConfig
    from sngan.runs.networks import build_networks
    from sngan.runs.run import Run

    config = Config(model=ModelConfig(name="cnn", width=0.02, latent_dim=4, sample_shape=(1, 8, 8)))
    return Run(None, config, build_networks(config)[0].eval().requires_grad_(False))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_files_of_generate_are_replaced(opened, tmp_path):
    out = tmp_path / "out"
    export.export(opened, out, n=8)
    write_all(out, NOTES)
    export.export(opened, out, n=3, overwrite=True)
    assert names(out) == sorted(["00000.png", "00001.png", "00002.png", *NOTES])
    assert kept(out, NOTES)


def test_a_file_of_the_user_with_the_name_of_a_sample_is_refused_whole(opened, tmp_path):
    out = tmp_path / "out"
    export.export(opened, out, n=2)
    (out / "00003.png").write_bytes(b"mine")
    before = contents(out)
    with pytest.raises(ValueError, match=r"out: expected a folder in which .*00003\.png"):
        export.export(opened, out, n=5, overwrite=True)
    assert contents(out) == before


@given(
    st.dictionaries(
        st.from_regex(r"[0-9]{4,9}\.png|[a-z]{1,3}\.(png|csv)", fullmatch=True),
        st.binary(max_size=4),
        max_size=4,
    ),
    st.integers(1, 4),
    st.integers(1, 4),
)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_files_beside_samples_stay(opened, tmp_path_factory, files, first, second):
    out = tmp_path_factory.mktemp("samples") / "out"
    export.export(opened, out, n=first)
    files = {name: data for name, data in files.items() if not (out / name).exists()}
    write_all(out, files)
    taken = set(files) & {f"{i:05d}.png" for i in range(second)}
    if taken:
        with pytest.raises(ValueError, match="out: "):
            export.export(opened, out, n=second, overwrite=True)
    else:
        export.export(opened, out, n=second, overwrite=True)
        assert set(names(out)) == {*files, *(f"{i:05d}.png" for i in range(second))}
    assert kept(out, files)


def test_an_error_on_the_way_brings_the_samples_of_before_back(opened, tmp_path, monkeypatch):
    out = tmp_path / "out"
    export.export(opened, out, n=5)
    before = contents(out)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("PIL.Image.Image.save", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*/out/00000\.png'"):
            export.export(opened, out, n=9, seed=1, overwrite=True)
    assert contents(out) == before


def test_a_folder_whose_parent_is_closed_gets_its_samples(opened, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    (tmp_path / "volume").mkdir()
    for n in (4, 2):
        export.export(opened, tmp_path / "volume", n=n, overwrite=n == 2)
    assert names(tmp_path) == ["volume"]
    assert names(tmp_path / "volume") == [".sngan", "00000.png", "00001.png"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "c"
    assert main([*COMPARE, "--out", str(out)]) == 0
    return out


@pytest.fixture
def comparison(compared, tmp_path):
    return shutil.copytree(compared, tmp_path / "c")


@pytest.mark.slow
@pytest.mark.parametrize("is_old", [False, True])
def test_a_comparison_is_replaced_and_files_beside_it_stay(comparison, is_old):
    files = {"thesis.tex": b"mine", "runs/notes.txt": b"mine", "runs/mine/config.yaml": b"a: 1",
             "runs/sn-seed0/notes.txt": b"mine", "animations/mine.gif": b"mine"}  # fmt: skip
    write_all(comparison, files)
    if is_old:
        without_a_list(comparison)
    assert main([*COMPARE, "--out", str(comparison)]) == 0
    arguments = [*COMPARE, "--out", str(comparison), "--overwrite", "--steps", "1"]
    assert main(arguments) == 0
    assert kept(comparison, files)
    assert not (comparison / "runs" / "sn-seed0" / "samples" / "step-000002.png").exists()
    assert not (comparison / ".sngan" / "replaced").exists()


def test_what_was_set_aside_comes_back_if_the_new_run_fails_early(tmp_path, monkeypatch):
    run = sngan.train(tiny(tmp_path / "run"))
    before = sngan.load(run.folder).generate(4)

    def broken(*_, **__):
        raise RuntimeError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr("sngan.engine.TrainState.build", broken)
        with pytest.raises(RuntimeError, match="no memory"):
            sngan.train(tiny(run.folder, seed=1), overwrite=True)
    assert sngan.load(run.folder).generate(4).equal(before)
    assert "no memory" in (run.folder / "train.log").read_text()
    sngan.train(tiny(run.folder, steps=4), resume=True)
