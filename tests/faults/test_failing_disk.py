"""Full disks, quotas and errors of the device at every call of a save, and at any call of a run."""

import os
import random
import shutil
import subprocess

import pytest

from helpers import calls, failing_disk, tiny_run
from sngan.engine import train as training
from sngan.runs import checkpoint

faults = pytest.mark.faults


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """A folder after each of four saves."""
    folders = [tmp_path_factory.mktemp("steps") / str(step) for step in range(4)]
    for step, folder in enumerate(folders):
        if step:
            shutil.copytree(folders[step - 1], folder)
        failing_disk.save(folder, step)
    return folders


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("part", [pytest.param(40, id="some"), pytest.param(1, marks=faults)])
def test_every_call_of_a_save_may_fail(steps, tmp_path, step, part, tally):
    before, after = steps[step - 1], steps[step]
    shutil.copytree(before, tmp_path / "counted")
    with calls.interposed(lambda _: None) as made:
        failing_disk.save(tmp_path / "counted", step)
    plan = [
        (call.number, number, torn)
        for call in made
        for number in failing_disk.ERRORS
        for torn in (False, True)[: 1 + call.is_write]
        if call.name not in ("unlink", "remove", "rmdir")
    ]
    counted = tally("faults of the disk in a save")
    for at, number, torn in plan[step % part :: part]:
        act = calls.failing(at, number, torn=torn)
        failing_disk.fail_save(before, after, step, tmp_path / "run", act=act, counted=counted)
    assert counted.wrong == []


@pytest.mark.parametrize("count", [pytest.param(4, id="few"), pytest.param(100, marks=faults)])
def test_a_run_goes_on_after_any_fault(tmp_path, count, tally):
    chance = random.Random(count)
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    training.train(tiny_run.config_of(tmp_path / "whole", source))
    with calls.interposed(lambda _: None) as made:
        training.train(tiny_run.config_of(tmp_path / "counted", source))
    places = [call.number for call in made if not call.is_write]
    writes = [call.number for call in made if call.is_write]
    chance.shuffle(places)
    counted = tally("faults of the disk in a run")
    for index in range(count):
        torn = chance.random() < 0.3
        failing_disk.fail_once(
            tmp_path / "run",
            source,
            tmp_path / "whole",
            at=chance.choice(writes) if torn else places[index % len(places)],
            number=chance.choice(failing_disk.ERRORS),
            torn=torn,
            for_ever=chance.random() < 0.3,
            counted=counted,
        )
    assert counted.wrong == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB, which only the system's administrator can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = (
            os.getuid() == 0 and not subprocess.run(["mount", *options], check=False).returncode
        )
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs root, to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk, tmp_path):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    # the file of the generator has the settings in it
    training.train(tiny_run.config_of(tmp_path / "whole", source, keep_every=1))
    run = small_disk / "run"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500 << 10))
    with pytest.raises(training.TrainingError, match=r"No space left on device: '.*; log: .*"):
        training.train(tiny_run.config_of(run, source, keep_every=1))
    found = checkpoint.find_newest(run / "checkpoints")
    assert found.path.name == "last.pt"
    assert 0 <= found.state["step"] < tiny_run.STEPS
    ballast.unlink()
    training.train(tiny_run.config_of(run, source, keep_every=1), resume=True)
    generators = [one / "generator.safetensors" for one in (run, tmp_path / "whole")]
    assert generators[0].read_bytes() == generators[1].read_bytes()
