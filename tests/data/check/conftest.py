"""The planted corpus, made once: a folder, and a store of the scans that can be read."""

import pytest

from shapespace.data.check import check_scans, cloud
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import find_sources
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from tests.data.check.corpus import clean_meshes, write_clean, write_faults


def write_store(folder, path, num_points=6000):
    """A store of what can be read in ``folder``; a small cloud gives all its points."""
    with StoreWriter(path, "m", 3) as writer:
        for source in find_sources(folder):
            try:
                raw, digest = source.load()
            except InputError:
                continue
            count = num_points if raw.faces is not None else min(num_points, len(raw.vertices))
            options = PointOptions(num_points=count, normals="source")
            writer.add(prepare_scan(raw, source.name, options, source_hash=digest))
    return path


@pytest.fixture(scope="session")
def meshes():
    return dict(clean_meshes())


@pytest.fixture(scope="session")
def clean_folder(meshes, tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("check") / "clean", meshes)


@pytest.fixture(scope="session")
def planted_folder(meshes, tmp_path_factory):
    folder = write_clean(tmp_path_factory.mktemp("check") / "planted", meshes)
    write_faults(folder, meshes)
    return folder


def quick_check(path):
    """Look at fewer points, here only; the other tests look at all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud, "NUM_EXAMINED", 8000)
        return check_scans(path, progress=False)


@pytest.fixture(scope="session")
def planted_report(planted_folder):
    return quick_check(planted_folder)


@pytest.fixture(scope="session")
def clean_store(clean_folder):
    return write_store(clean_folder, clean_folder.parent / "clean.hdf5")


@pytest.fixture(scope="session")
def planted_store_report(planted_folder):
    store = write_store(planted_folder, planted_folder.parent / "planted.hdf5")
    return quick_check(store)
