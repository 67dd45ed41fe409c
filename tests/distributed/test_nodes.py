"""Two machines: two torchruns on loopback and in two network namespaces, two tasks of SLURM's kind.

`make test-nodes`; the namespaces need root, and are left out elsewhere.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from helpers.ranks import launched_ranks, needs_proc
from helpers.training import assert_identical, final_state, metrics, timeless, wait_for_step
from sngan.config import PerformanceConfig
from sngan.engine.fabric import make_fabric

STEPS = 200
SETTINGS = "width=0.1 batch_size=8 n_critic=1 log_every=10 save_every=20 sample_every=200"
LOOPBACK = "127.0.0.1"


def train(out: Path, *, nodes: int) -> list[str]:
    settings = [*SETTINGS.split(), "device=cpu", f"nodes={nodes}"]
    return ["sngan", "train", "--out", str(out), "--steps", str(STEPS), "--set", *settings]


def start(command: list[str], **variables: str) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]


def torchrun(out: Path, endpoint: str, *more: str) -> list[str]:
    launcher = ["torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
    where = [f"--rdzv-endpoint={endpoint}", *more]
    return [sys.executable, "-m", *launcher, *where, "-m", *train(out, nodes=2)]


def finish(processes: list[subprocess.Popen]) -> list[str]:
    """Wait for all; return what each printed on standard output."""
    try:
        ends = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), ends
    return [output for output, _ in ends]


def assert_trained_as_by_one_process(run: Path, one: Path) -> None:
    records, expected = metrics(run), metrics(one)
    assert [record["step"] for record in records] == list(range(10, STEPS + 1, 10))
    for loss in ("critic_loss", "generator_loss", "w_estimate"):
        # other orders of summing, which training amplifies with time
        assert [record[loss] for record in records[:5]] == pytest.approx(
            [record[loss] for record in expected[:5]], rel=1e-3, abs=1e-5
        )
    assert final_state(run)["sampler"] == final_state(one)["sampler"]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("one") / "run"
    finish([start([sys.executable, "-m", *train(run, nodes=1)])])
    return run


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory) -> tuple[Path, list[str]]:
    run = tmp_path_factory.mktemp("two") / "run"
    command = torchrun(run, f"{LOOPBACK}:{free_port()}")
    return run, finish([start(command), start(command)])


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces of addresses 10.77.0.1 and 10.77.0.2, joined by a veth pair."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2")
    names = (f"sngan{os.getpid()}a", f"sngan{os.getpid()}b")

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        try:
            for name in names:
                ip("netns", "add", name)
            ip("link", "add", "veth0", "netns", names[0],
               "type", "veth", "peer", "name", "veth0", "netns", names[1])  # fmt: skip
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        for number, name in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "veth0")
            for device in ("lo", "veth0"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.slow
def test_two_torchruns_train_what_one_process_does(two_nodes, one_process):
    run, printed = two_nodes
    assert_trained_as_by_one_process(run, one_process)
    assert sorted(output.count(f"step {STEPS}/{STEPS}") for output in printed) == [0, 1]


@pytest.mark.slow
def test_two_network_namespaces_train_what_loopback_does(tmp_path, namespaces, two_nodes):
    run = tmp_path / "run"
    processes = []
    for number, name in enumerate(namespaces, start=1):
        # the host has no name that leads to these addresses
        own = [f"--local-addr=10.77.0.{number}", f"--rdzv-conf=is_host={number == 1}"]
        command = torchrun(run, "10.77.0.1:29500", *own)
        processes.append(start(["ip", "netns", "exec", name, *command], GLOO_SOCKET_IFNAME="veth0"))
    finish(processes)
    assert_identical(final_state(run), final_state(two_nodes[0]))
    assert timeless(metrics(run)) == timeless(metrics(two_nodes[0]))


@pytest.mark.slow
@needs_proc
def test_a_process_killed_on_one_node_restarts_both(tmp_path, two_nodes):
    run = tmp_path / "run"
    command = torchrun(run, f"{LOOPBACK}:{free_port()}", "--max-restarts=1")
    agents = [start(command), start(command)]
    wait_for_step(run, 40, agents[0])
    pids = {rank: pid for agent in agents for rank, pid in launched_ranks(agent).items()}
    assert pids.keys() == {0, 1}
    os.kill(pids[1], signal.SIGKILL)
    finish(agents)
    assert_identical(final_state(run), final_state(two_nodes[0]))
    assert timeless(metrics(run)) == timeless(metrics(two_nodes[0]))


def slurm(task: int, *, nodes: str = LOOPBACK, port: int = 29500) -> dict[str, str]:
    """What srun sets for one of two tasks on two nodes."""
    names = {"SLURM_JOB_ID": "1234567", "SLURM_JOB_NAME": "gan", "SLURM_NODELIST": nodes}
    counts = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
    own = {"SLURM_PROCID": str(task), "SLURM_LOCALID": "0", "SLURM_NODEID": str(task)}
    return {**names, **counts, **own, "MASTER_PORT": str(port)}


@pytest.mark.slow
def test_two_tasks_of_slurm_train_what_torchrun_does(tmp_path, two_nodes):
    run, port = tmp_path / "run", free_port()
    command = [sys.executable, "-m", *train(run, nodes=2)]
    finish([start(command, **slurm(task, port=port)) for task in (0, 1)])
    assert_identical(final_state(run), final_state(two_nodes[0]))


def test_slurm_is_recognized_by_its_variables(monkeypatch):
    # Lightning sets it, which shall be undone
    monkeypatch.setenv("MASTER_ADDR", "")
    monkeypatch.delenv("MASTER_ADDR")
    for name, value in slurm(1, nodes="node[07-08]").items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric(PerformanceConfig(device="cpu", nodes=2))
    environment = fabric.strategy.cluster_environment
    assert isinstance(environment, SLURMEnvironment)
    assert (environment.global_rank(), environment.world_size()) == (1, 2)
    assert (environment.main_address, environment.main_port) == ("node07", 29500)
    assert environment.creates_processes_externally


def test_other_devices_than_slurm_started(monkeypatch):
    for name, value in slurm(0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"performance.devices: expected devices × nodes = 2"):
        make_fabric(PerformanceConfig(device="cpu", devices=3, nodes=2))
