"""The cores of a process: affinity, control groups of both versions, OMP_NUM_THREADS."""

import os

import pytest
import torch

from cnncli.training import cores, device
from cnncli.training.cores import find_quotas, most_threads
from cnncli.training.device import choose_compute, choose_evaluation_compute
from cnncli.training.distributed import ALONE, World


def tree(root, files, own):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    groups = root / "own"
    groups.write_text(own)
    return sorted(find_quotas(root, groups))


def test_the_quota_of_version_2_holds_for_the_groups_inside(tmp_path):
    files = {
        "cpu.max": "max 100000\n",
        "user.slice/cpu.max": "250000 100000\n",
        "user.slice/app/cpu.max": "max 100000\n",
        "other/cpu.max": "100000 100000\n",
    }
    assert tree(tmp_path, files, "0::/user.slice/app\n") == [2.5]


def test_a_container_is_told_a_path_that_it_cannot_see(tmp_path):
    assert tree(tmp_path, {"cpu.max": "150000 100000\n"}, "0::/docker/1234\n") == [1.5]


@pytest.mark.parametrize("name", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_version_1(tmp_path, name):
    files = {
        f"{name}/box/cpu.cfs_quota_us": "300000\n",
        f"{name}/box/cpu.cfs_period_us": "100000\n",
        f"{name}/cpu.cfs_quota_us": "-1\n",
        f"{name}/cpu.cfs_period_us": "100000\n",
        "memory/box/cpu.cfs_quota_us": "1\n",
        "memory/box/cpu.cfs_period_us": "1\n",
    }
    assert tree(tmp_path, files, f"4:memory:/box\n3:{name}:/box\n0::/\n") == [3.0]


def test_no_control_groups_are_no_limit(tmp_path):
    assert list(find_quotas(tmp_path / "none", tmp_path / "nowhere")) == []
    assert tree(tmp_path, {"cpu.max": "what\n"}, "no line of one\n\n") == []


def test_a_quota_below_a_core_is_one_core(monkeypatch):
    monkeypatch.setattr(cores, "find_quotas", lambda: iter([0.2, 7.0]))
    assert cores.count_cpus() == 1


def test_the_affinity_is_a_bound(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    monkeypatch.setattr(cores, "find_quotas", lambda: iter([64.0]))
    assert cores.count_cpus() == 3


def check_most(monkeypatch, asked, processes, most):
    monkeypatch.setattr(cores, "count_cpus", lambda: 8)
    if asked is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert most_threads(processes) == most


@pytest.mark.parametrize(
    ("asked", "processes", "most"),
    [(None, 1, 8), ("3", 1, 3), (" 2,4", 1, 2), ("64", 1, 8), ("no", 1, 8), ("0", 1, 8)],
)
def test_the_most_threads_of_a_process(monkeypatch, asked, processes, most):
    check_most(monkeypatch, asked, processes, most)


@pytest.mark.parametrize(
    ("asked", "processes", "most"),
    [(None, 3, 2), ("2", 2, 2), ("8", 2, 4), (None, 20, 1)],
)
def test_processes_share_the_cores(monkeypatch, asked, processes, most):
    check_most(monkeypatch, asked, processes, most)


def test_every_command_that_computes_keeps_to_the_bound(monkeypatch):
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr(cores, "count_cpus", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(device, "_TORCH_THREADS", 16)
    choose_compute("cpu", "fp32")
    choose_evaluation_compute("cpu", None, ALONE)
    choose_compute("cpu", "fp32", World(size=3, local_size=3))
    assert given == [4, 4, 2]


def test_torch_gets_no_more_threads_than_it_had(monkeypatch):
    """It had one for each physical core, each of which the system may count as two."""
    given = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr(cores, "count_cpus", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(device, "_TORCH_THREADS", 8)
    choose_compute("cpu", "fp32")
    choose_compute("cpu", "fp32", World(size=4, local_size=4))
    assert given == [8, 4]
