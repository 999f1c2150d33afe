"""Scans of files, folders and stores in one list."""

import h5py
import numpy as np
import pytest

from shapespace.data.sources import collect_sources
from shapespace.data.store.store import ScanStore, store_at
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from tests.conftest import RADII, ellipsoid, write_registrations


@pytest.fixture
def folder(tmp_path):
    """Two clouds, one of which has a name of the toy store."""
    (tmp_path / "in").mkdir()
    for name in ("ball", "cone"):
        np.save(tmp_path / "in" / f"{name}.npy", ellipsoid((1.0, 0.9, 0.8))[0])
    return tmp_path / "in"


def test_a_scan_of_a_store_is_what_was_stored(toy_store):
    sources, store = collect_sources([toy_store]), ScanStore(toy_store)
    assert tuple(source.name for source in sources) == store.names == tuple(sorted(RADII))
    source = sources[1]
    assert str(source) == f"{toy_store}/egg" and source.digest() == store.checksum("egg")
    prepared, scan = source.prepared(), store.scan("egg")
    np.testing.assert_array_equal(prepared.points, scan.points)
    assert (prepared.source, prepared.source_hash) == (str(source), source.digest())
    assert prepared.frame.scale == scan.frame.scale


def test_files_and_stores_are_mixed(folder, toy_store):
    mixed = [folder / "cone.npy", toy_store]
    assert [source.name for source in collect_sources(mixed)] == ["cone", *sorted(RADII)]
    with pytest.raises(InputError, match="2 scans are called 'ball'"):
        collect_sources([folder, toy_store])
    with pytest.raises(InputError, match="2 scans are called 'ball'"):
        collect_sources([folder, toy_store], ["ball"])
    kept = collect_sources([folder, toy_store], ["melon", "cone"])
    assert [source.name for source in kept] == ["cone", "melon"]
    with pytest.raises(InputError, match="no scan is called 'melom'; the nearest is 'melon'"):
        collect_sources([folder, toy_store], ["melom", "cone"])


def test_the_digest_of_a_source_is_that_of_its_reading(folder, tmp_path):
    registrations = write_registrations(tmp_path / "r", {"a_x": 2})
    for source in collect_sources([folder, registrations]):
        assert source.digest() == source.load()[1]


def test_what_is_no_store(folder, tmp_path):
    registrations = write_registrations(tmp_path / "r", {"a_x": 2}) / "registrations_m.hdf5"
    for path in (folder, folder / "ball.npy", registrations, tmp_path / "none.hdf5"):
        assert store_at(path) is None
    with StoreWriter(tmp_path / "empty.hdf5", "m", 3):
        pass
    with pytest.raises(InputError, match=r"empty\.hdf5: holds no scan"):
        collect_sources([tmp_path / "empty.hdf5"])
    with h5py.File(tmp_path / "old.hdf5", "w") as file:
        file.attrs.update(format="shapespace-scans", version=99, unit="m", dimension=3)
    with pytest.raises(InputError, match=r"old\.hdf5: store version 99"):
        collect_sources([tmp_path / "old.hdf5"])
