import torch

from shapespace import capacity

CPU = torch.device("cpu")


def test_points_take_a_quarter_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(capacity, "free_memory", lambda device: 4_000_000)
    assert capacity.points_that_fit(100, CPU) == 10_000
    assert capacity.points_that_fit(100, CPU, sharers=4) == 2_500
    assert capacity.points_that_fit(10**9, CPU) == 1


def test_the_free_memory_is_that_of_the_machine_or_less(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    free = capacity.free_memory(CPU)
    assert 10**6 < free < 10**14
    monkeypatch.setattr(capacity, "GROUPS", tmp_path)
    assert capacity.free_memory(CPU) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert capacity.free_memory(CPU) > 2000


def test_a_machine_that_does_not_say_has_half_its_memory(tmp_path):
    assert capacity._available(tmp_path / "none") > 10**6
