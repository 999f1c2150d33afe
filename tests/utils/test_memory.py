import subprocess
import sys

import torch

from shapespace.utils import memory as capacity
from tests.conftest import ROOT

CPU = torch.device("cpu")


def test_points_take_a_quarter_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(capacity, "free_memory", lambda device: 4_000_000)
    assert capacity.points_that_fit(100, CPU) == 10_000
    assert capacity.points_that_fit(100, CPU, sharers=4) == 2_500
    assert capacity.points_that_fit(10**9, CPU) == 1


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def test_the_free_memory_is_that_of_the_machine_or_less(tmp_path, monkeypatch):
    assert 10**6 < capacity.free_memory(CPU) < 10**14
    process = tmp_path / "process"
    process.write_text("3:cpu:/\n0::/slice/job\n")
    write(tmp_path / "slice/job", max="max", current=500, stat="anon 1\ninactive_file 100")
    write(tmp_path / "slice", max=3000, current=1000, stat="anon 1\ninactive_file 200")
    monkeypatch.setattr(capacity, "GROUPS", tmp_path)
    monkeypatch.setattr(capacity, "PROCESS", process)
    assert capacity.free_memory(CPU) == 2200
    write(tmp_path / "slice/job", max=700)
    assert capacity.free_memory(CPU) == 300
    process.unlink()
    assert capacity.free_memory(CPU) > 10**6


def test_the_older_kind_of_control_groups_is_read_too(tmp_path, monkeypatch):
    (tmp_path / "process").write_text("4:memory:/job\n0::/\n")
    folder = tmp_path / "memory/job"
    write(folder, limit_in_bytes=3000, usage_in_bytes=1000, stat="total_inactive_file 50")
    monkeypatch.setattr(capacity, "GROUPS", tmp_path)
    monkeypatch.setattr(capacity, "PROCESS", tmp_path / "process")
    assert capacity.free_memory(CPU) == 2050


def test_a_machine_that_does_not_say_has_half_its_memory(tmp_path):
    assert capacity._available(tmp_path / "none") > 10**6


TAKE_MEMORY = """
import torch
from shapespace.utils import memory

cpu = torch.device("cpu")
before = memory.used_memory(cpu)
kept = torch.ones(20_000_000)
assert memory.used_memory(cpu) - before > 0.8 * kept.nbytes
assert memory.largest_memory(cpu) >= memory.used_memory(cpu)
memory.forget_largest(cpu)
assert memory.largest_memory(cpu) > before
"""


def test_the_memory_of_this_process():
    # In a process of its own: an allocator keeps what earlier tests have freed.
    ended = subprocess.run(
        [sys.executable, "-c", TAKE_MEMORY], capture_output=True, text=True, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
