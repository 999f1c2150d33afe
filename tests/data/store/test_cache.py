"""The copy near by is the store, made once, and never a half or a damaged one."""

import multiprocessing

import h5py
import pytest

from shapespace.data.store.cache import cached_path, copy_to_cache, verify_store
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.training.datamodule import ScanData


def batches(data):
    data.prepare_data()
    data.setup("fit")
    return [batch.scan.points.tolist() for batch in data.train_dataloader()]


def test_training_reads_the_copy_and_nothing_changes(toy_store, tmp_path):
    path = tmp_path / "toy.hdf5"
    path.write_bytes(toy_store.read_bytes())
    plain = batches(ScanData(str(path), batch_size=2, num_points=50))
    data = ScanData(str(path), batch_size=2, num_points=50, cache=str(tmp_path / "near"))
    assert batches(data) == plain
    copy = cached_path(ScanStore(path), tmp_path / "near")
    assert copy.read_bytes() == path.read_bytes() and copy.name.startswith("toy-")
    data._near.close()
    with h5py.File(copy, "r+") as file:
        file["scans/egg/points"][7] += 1
    with pytest.raises(InputError, match="scan 'egg' is damaged"):
        ScanData(str(path), num_points=50, cache=str(tmp_path / "near"), verify=True).prepare_data()
    copy.rename(copy.with_suffix(".away"))
    with pytest.raises(InputError, match="no such file"):
        data.setup("fit")


def test_a_copy_is_made_once_and_made_anew_for_other_content(toy_store, write_store, tmp_path):
    first = copy_to_cache(ScanStore(toy_store), tmp_path)
    written = first.stat().st_mtime_ns
    (tmp_path / f".{first.stem}.77.part.hdf5").write_text("left over")
    assert copy_to_cache(ScanStore(toy_store), tmp_path) == first
    assert first.stat().st_mtime_ns == written
    other = write_store(tmp_path / "in" / "toy.hdf5", {"ball": (1.0, 1.0, 1.0)})
    assert copy_to_cache(ScanStore(other), tmp_path) != first


def _copy(path, folder):
    return copy_to_cache(ScanStore(path), folder)


@pytest.mark.slow
def test_processes_wait_for_one_copy(toy_store, tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        copies = pool.starmap(_copy, [(toy_store, tmp_path)] * 3)
    assert len(set(copies)) == 1
    assert [path.name for path in tmp_path.glob("*.hdf5")] == [copies[0].name]


def test_damage_and_a_small_disk_are_refused(toy_store, tmp_path, monkeypatch):
    path = tmp_path / "toy.hdf5"
    path.write_bytes(toy_store.read_bytes())
    with h5py.File(path, "r+") as file:
        file["scans/egg/points"][7] += 1
    verify_store(ScanStore(toy_store))
    with pytest.raises(InputError, match="scan 'egg' is damaged"):
        ScanData(str(path), num_points=50, verify=True).prepare_data()
    with pytest.raises(InputError, match="scan 'egg' is damaged"):
        copy_to_cache(ScanStore(path), tmp_path / "near")
    assert not list((tmp_path / "near").glob("*.hdf5"))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"0\.0 GB free"):
        copy_to_cache(ScanStore(toy_store), tmp_path / "far")
