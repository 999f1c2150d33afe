"""What ``shapespace info`` says of a store and of a checkpoint."""

import h5py
import numpy as np
import pytest

from shapespace.cli.describe import describe, faults
from shapespace.cli.main import main
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError


def test_a_store(toy_store):
    lines = describe(toy_store).splitlines()
    content = ScanStore(toy_store).content[:16]
    assert lines[0] == f"{toy_store}: store of 4 scans, dimension 3, unit m, content {content}"
    assert lines[1] == "points a scan: 600 to 600; normals: measured 4"
    assert lines[2].startswith("first scan: size 2.0") or lines[2].startswith(
        "first scan: size 1.9"
    )
    assert lines[2].endswith("from ball.ply")
    assert lines[3:] == ["  ball", "  egg", "  lens", "  melon"]


def test_a_large_store_is_described_from_its_index(write_store, tmp_path, monkeypatch):
    radii = {f"scan_{row:03d}": (1.0, 1.0, 1.0) for row in range(60)}
    path = write_store(tmp_path / "s.hdf5", radii)
    groups = []
    looked_up = ScanStore._group
    monkeypatch.setattr(
        ScanStore, "_group", lambda self, name: groups.append(name) or looked_up(self, name)
    )
    text = describe(path)
    assert set(groups) == {"scan_000"}
    with h5py.File(path, "r+") as file:
        del file["index"], file["accounts"]
    assert describe(path) == text and len(set(groups)) == 60


def test_damage_is_found(toy_store, tmp_path, capsys):
    path = tmp_path / "s.hdf5"
    path.write_bytes(toy_store.read_bytes())
    assert faults(path) == [] and main(["info", str(path), "--verify"]) == 0
    assert "verified: every scan is as it was written" in capsys.readouterr().out
    with h5py.File(path, "r+") as file:
        file["scans/egg/sigma"][3] += 1e-6
    (fault,) = faults(path)
    assert "scan 'egg' is damaged" in fault and main(["info", str(path), "--verify"]) == 1
    assert fault in capsys.readouterr().out


def test_many_names_are_cut(write_store, tmp_path):
    path = write_store(tmp_path / "s.hdf5", {f"s{k:02d}": np.ones(3) for k in range(13)})
    assert describe(path).splitlines()[-2:] == ["  s09", "  ... and 3 more, see --names"]


def test_an_empty_store(tmp_path):
    with StoreWriter(tmp_path / "s.hdf5", "m", 3):
        pass
    assert describe(tmp_path / "s.hdf5") == f"{tmp_path / 's.hdf5'}: store without scans"


def test_a_checkpoint(toy_checkpoint):
    lines = describe(toy_checkpoint).splitlines()
    assert lines[0] == f"{toy_checkpoint}: space of 4 shapes, dimension 3, code length 8, unit m"
    assert lines[1].startswith("SkipMLP with ") and lines[1].endswith("objective IGR, box ±1.8")
    assert lines[2].startswith("trained for 2 epochs, 4 steps, by version ")
    assert lines[3].startswith("code norms: ")
    assert lines[4:] == ["  ball", "  egg", "  lens", "  melon"]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\nnothing"])
def test_neither(content, tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(content)
    with pytest.raises(InputError, match="odd: "):
        describe(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="none: no such file; give a store or a checkpoint"):
        describe(tmp_path / "none")
