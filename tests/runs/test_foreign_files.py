"""Nothing is deleted or changed but files that this run's list names."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sngan
from helpers.examples import examples
from helpers.folders import SMALL, contents, kept, tiny, without_a_list, write_all
from sngan.cli import main
from sngan.runs.managed import ManagedRunFolder

NOTES = {"notes.txt": b"mine", "samples/mine.png": b"mine", "checkpoints/mine.txt": b"mine"}
WEBSITE = {"config.yaml": b"title: my site\n", "thesis.tex": b"years", "src/main.c": b"int x;"}
# names that a run might have, and names that none has
NAMES = st.sampled_from([
    "notes.txt", "config.yaml", "metrics.jsonl", "plan.json", "compare.json", "report.html",
    "generator.safetensors", "samples/step-000000.png", "samples/x.png", "checkpoints/last.pt",
    "checkpoints/best.pt", "checkpoints/step-000002.pt", "train.log", "00000.png", "20240101.png",
    "points.csv", "runs/sn-seed0/thesis.tex", "runs/sn-seed0/config.yaml", "lipschitz/layers.png",
    "events.out.tfevents.1.me", ".sngan/files.jsonl", ".sngan/replaced/files.jsonl", "skipped.txt",
    "data/cat/1.png", "measured.json",
])  # fmt: skip
LISTED = b'{"format": "sngan run 1", "id": "0"}\n"notes.txt"\n"../outside.txt"\n"config.yaml"'
CONTENTS = st.sampled_from([b"", b"mine", b"{}", b'{"step": 1}\n', b"\x89PNG\r\n\x1a\n", LISTED])
FOLDERS = st.dictionaries(NAMES, CONTENTS, min_size=1, max_size=5)


def files_of_others(files):
    return {name: data for name, data in files.items() if not name.startswith(".sngan")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    sngan.train(tiny(folder))
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize("files", [WEBSITE, {"plan.json": b"{}", "thesis.tex": b"years"}])
def test_a_folder_of_another_program_is_refused_whole(tmp_path, files, flags, capsys):
    write_all(tmp_path / "exp", files)
    for command in ("train", "compare"):
        if command == "train" or flags != ["--resume"]:
            arguments = [command, "--out", str(tmp_path / "exp"), "--steps", "2", *SMALL]
            assert main([*arguments, *flags]) == 2
            assert "sngan: error: --" in capsys.readouterr().err
    assert contents(tmp_path / "exp") == files


@pytest.mark.parametrize("files", [WEBSITE, {"config.yaml": b"steps: 1\n"}, {"x.txt": b"x"}])
def test_no_page_is_written_into_a_folder_of_another_program(tmp_path, files, capsys):
    write_all(tmp_path / "exp", files)
    assert main(["report", str(tmp_path / "exp")]) == 2
    assert capsys.readouterr().err.startswith("sngan: error: run: expected ")
    assert contents(tmp_path / "exp") == files


def test_a_run_without_a_list_and_one_that_has_begun_get_their_pages(run):
    without_a_list(run)
    assert main(["report", str(run)]) == 0
    for path in run.rglob("*"):
        if path.is_file() and path.name != "config.yaml":
            path.unlink()
    assert main(["report", str(run)]) == 0


def test_settings_data_and_out_in_one_folder_of_the_user(made, tmp_path, capsys):
    exp = tmp_path / "exp"
    settings = (made / "config.yaml").read_bytes()
    files = {"config.yaml": settings, "data/a.png": b"picture", "thesis.tex": b"years"}
    write_all(exp, files)
    for flags in ([], ["--overwrite"]):
        arguments = ["--config", str(exp / "config.yaml"), "--data", str(exp / "data"), *flags]
        assert main(["train", *arguments, "--out", str(exp)]) == 2
    assert contents(exp) == files


def test_the_current_folder_is_not_emptied(tmp_path, monkeypatch, capsys):
    write_all(tmp_path, WEBSITE)
    monkeypatch.chdir(tmp_path)
    for flags in ([], ["--overwrite"]):
        assert main(["train", "--out", ".", "--steps", "2", *SMALL, *flags]) == 2
    assert contents(tmp_path) == WEBSITE


def test_the_current_folder_may_be_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for flags in ([], ["--overwrite"]):
        assert main(["train", "--out", ".", "--steps", "2", *SMALL, *flags]) == 0
        assert (tmp_path / "report.html").is_file()


def test_overwriting_keeps_what_is_not_the_runs(run):
    write_all(run, NOTES)
    sngan.train(tiny(run, steps=4), overwrite=True)
    assert kept(run, NOTES)
    assert (run / "samples" / "step-000004.png").is_file()
    assert not (run / ".sngan" / "replaced").exists()


UNUSED = ["generator-best.safetensors", "checkpoints/best.pt", "checkpoints/next.pt"]


@pytest.mark.parametrize("name", UNUSED)
def test_a_name_that_a_run_did_not_use_is_free_for_another_file(tmp_path, name):
    """A second run over the first one needs the name, and then says so; it takes no file."""
    run = tmp_path / "run"
    sngan.train(tiny(run, steps=1), overwrite=True)
    assert not (run / name).exists()
    write_all(run, {name: b"mine"})
    with pytest.raises(ValueError, match=r"out: expected no file of that name"):
        sngan.train(tiny(run, steps=1), overwrite=True)
    assert kept(run, {name: b"mine"})
    assert (run / "generator.safetensors").is_file()
    (run / name).unlink()
    sngan.train(tiny(run, steps=1), overwrite=True)


@pytest.mark.parametrize("name", ["mine.pt", "step-000009.pt"])
def test_a_persons_checkpoint_does_not_cost_the_run_that_was_replaced(run, name, monkeypatch):
    """A run that fails before its first checkpoint gives the replaced one back."""
    # the log goes on with the reason, which the report shows
    unlike = [".sngan", "train.log", "report.html"]
    files = contents(run, without=unlike)
    (run / "checkpoints" / name).write_bytes(b"mine")
    with monkeypatch.context() as patch:
        patch.setattr("sngan.engine.worker.TrainState.build", _fail)
        with pytest.raises(RuntimeError, match="no memory"):
            sngan.train(tiny(run), overwrite=True)
    sngan.load(run)
    found = contents(run, without=unlike)
    assert found.pop(f"checkpoints/{name}") == b"mine"
    assert found == files


def _fail(*_, **__):
    raise RuntimeError("no memory")


def test_overwriting_removes_all_that_is_the_runs(run):
    sngan.train(tiny(run, steps=2, sample_every=1, keep_every=2, seed=1), overwrite=True)
    sngan.train(tiny(run, steps=2), overwrite=True)
    assert not (run / "samples" / "step-000001.png").exists()
    assert not (run / "checkpoints" / "step-000002.pt").exists()
    assert len(list(run.glob("events*"))) == 1


def test_a_name_that_is_taken_is_refused_before_anything_is_written(run, tmp_path):
    (run / "report.html").unlink()
    files = contents(run)
    listed = run / ".sngan" / "files.jsonl"
    listed.write_bytes(listed.read_bytes().replace(b'\n"report.html"', b""))
    (run / "report.html").write_text("my report")
    with pytest.raises(ValueError, match=r"out: expected no file of that name .*report\.html"):
        sngan.train(tiny(run, steps=4), resume=True)
    assert (run / "report.html").read_text() == "my report"
    assert (run / "metrics.jsonl").read_bytes() == files["metrics.jsonl"]


def test_a_run_from_before_there_were_lists_is_resumed_replaced_and_read(run):
    write_all(run, NOTES)
    without_a_list(run)
    assert main(["report", str(run)]) == 0
    assert main(["generate", str(run), "--n", "3", "--out", str(run / "grid.png")]) == 0
    assert main(["lipschitz", str(run)]) == 0
    sngan.train(tiny(run, steps=4), resume=True)
    without_a_list(run)
    sngan.train(tiny(run, steps=2), overwrite=True)
    assert kept(run, NOTES)
    assert (run / "grid.png").is_file()
    assert not (run / "samples" / "step-000004.png").exists()


def test_files_beside_an_old_run_that_look_like_its_own_stay(run):
    without_a_list(run)
    files = {
        "samples/step-000001.png": b"\x89PNG mine", "samples/step-000002x.png": b"mine",
        "lipschitz/layers.png": b"mine", "checkpoints/step-000001.pt": b"mine",
    }  # fmt: skip
    write_all(run, files)
    sngan.train(tiny(run, steps=2), overwrite=True)
    assert kept(run, files)


@given(files=FOLDERS, flags=st.sampled_from([[], ["--overwrite"], ["--resume"]]))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_folder_of_other_files_stays_as_it_is(tmp_path_factory, files, flags):
    """Where a command does go through, for files that a run may lie beside, they stay as well."""
    folder = tmp_path_factory.mktemp("any")
    out = folder / "out"
    write_all(out, files)
    (folder / "outside.txt").write_bytes(b"outside")
    for command in (["train"], ["compare", "--methods", "sn"]):
        if command == ["train"] or flags != ["--resume"]:
            # no step is made: such a data set does not exist
            arguments = ["--data", str(folder / "none"), "--out", str(out), *flags]
            assert main([*command, *arguments]) == 2
            # a list of sngan's own form is its own
            assert contents(out, without=[".sngan"]) == files_of_others(files)
    assert (folder / "outside.txt").read_bytes() == b"outside"


@given(files=FOLDERS.map(files_of_others))
@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_any_files_beside_a_run_stay(made, tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("beside")
    out = shutil.copytree(made, folder / "out")
    foreign = {name: data for name, data in files.items() if not (out / name).exists()}
    write_all(out, foreign)
    short = ["--overwrite", "--steps", "2"]
    for flags in (short, ["--resume", "--steps", "4"], short):
        status = main(["train", "--out", str(out), *SMALL, *flags])
        assert status in (0, 2)
        assert kept(out, foreign)
    assert main(["report", str(out)]) in (0, 2)
    assert main(["lipschitz", str(out)]) in (0, 2)
    assert kept(out, foreign)


def test_a_list_of_a_stranger_names_nothing_outside(run, tmp_path):
    (tmp_path / "outside.txt").write_text("theirs")
    (run / "notes.txt").write_text("mine")
    with (run / ".sngan" / "files.jsonl").open("a") as file:
        file.write('\n"../outside.txt"\n"notes.txt"\n"samples/../notes.txt"\n5\n{}\n"cut')
    sngan.train(tiny(run), overwrite=True)
    assert (tmp_path / "outside.txt").read_text() == "theirs"
    assert (run / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["samples", "checkpoints", "metrics.jsonl", "train.log"])
def test_links_inside_a_run_are_not_followed(run, tmp_path, name):
    target = tmp_path / "theirs"
    shutil.move(run / name, target)
    before = contents(tmp_path / "theirs") if target.is_dir() else target.read_bytes()
    (run / name).symlink_to(target)
    for flags in ({"overwrite": True}, {"resume": True}):
        with pytest.raises(ValueError, match="got the link"):
            sngan.train(tiny(run, steps=4), **flags)
    after = contents(tmp_path / "theirs") if target.is_dir() else target.read_bytes()
    assert after == before


def test_a_link_as_out_is_followed_and_a_link_to_nothing_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for flags in ({}, {"overwrite": True}):
        sngan.train(tiny(tmp_path / "link"), **flags)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.html").is_file()
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match="out: expected a folder, got a file, or a link to noth"):
        sngan.train(tiny(tmp_path / "broken"))
    assert not (tmp_path / "gone").exists()


def test_an_empty_volume_keeps_its_mode(tmp_path):
    volume = tmp_path / "volume"
    (volume / "lost+found").mkdir(parents=True)
    volume.chmod(0o2770)
    inode = volume.stat().st_ino
    for flags in ({}, {"overwrite": True}):
        sngan.train(tiny(volume), **flags)
        assert volume.stat().st_mode & 0o7777 == 0o2770
        assert volume.stat().st_ino == inode
    assert (volume / "lost+found").is_dir()


def test_every_file_of_a_run_follows_the_umask(made):
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o644}, modes


class Killed(BaseException):
    """An end of a run that no code of it notices; the list stays as it was."""


@pytest.mark.parametrize("flags", [{"overwrite": True}, {"resume": True}], ids=str)
@pytest.mark.parametrize("name", ["report.html", *UNUSED, "checkpoints/previous.pt"])
def test_a_name_that_a_killed_run_did_not_use_is_free(tmp_path, name, flags, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("sngan.engine.worker.run_loop", _killed_after_one_checkpoint)
        # a killed process undoes nothing
        patch.setattr("sngan.runs.managed.ManagedRunFolder.abandon", lambda _: None)
        patch.setattr("sngan.tasks.train.try_report", lambda *_, **__: True)
        with pytest.raises(Killed):
            sngan.train(tiny(run))
    assert not (run / name).exists()
    write_all(run, {name: b"mine"})
    with pytest.raises(ValueError, match="out: expected no file of that name"):
        sngan.train(tiny(run), **flags)
    assert kept(run, {name: b"mine"})


def _killed_after_one_checkpoint(plan, state, folder, write_page):
    from sngan.engine.outputs import open_outputs

    with open_outputs(plan, state, folder) as outputs:
        outputs.start()
        raise Killed


def test_a_step_is_not_kept_over_a_file_of_somebody_else(run, caplog):
    name = "checkpoints/step-000004.pt"
    write_all(run, {name: b"mine"})
    sngan.train(tiny(run, steps=6, keep_every=2), overwrite=True)
    assert kept(run, {name: b"mine"})
    assert (run / "checkpoints" / "step-000006.pt").is_file()
    assert "step 4 is not kept: out: expected no file of that name" in caplog.text


def test_a_file_that_another_command_lists_meanwhile_stays_listed(tmp_path, monkeypatch):
    """``sngan lipschitz RUN`` may draw while the run goes on."""
    from sngan.engine.loop import run_loop

    def loop(plan, state, folder, write_page):
        run_loop(plan, state, folder, write_page)
        path = ManagedRunFolder(folder.path).files.claim("lipschitz/layers.png")
        write_all(folder.path, {"lipschitz/layers.png": b"drawn"})
        assert path.is_file()

    run = tmp_path / "run"
    monkeypatch.setattr("sngan.engine.worker.run_loop", loop)
    sngan.train(tiny(run))
    assert "lipschitz/layers.png" in ManagedRunFolder(run).files.names()
