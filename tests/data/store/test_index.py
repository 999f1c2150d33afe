"""The index of a store says what the groups hold; a store without it opens as before."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from shapespace.data.store.index import record_type
from shapespace.data.store.merge import merge
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import Targets
from tests.data.store.test_store import make_scan, write

NAMES = ("a", "z" * 300, "é x")


def some_scans(dimension):
    around = Targets(np.ones((5, dimension), np.float32), np.ones(5, np.float32), True)
    first = make_scan(NAMES[0], dimension=dimension, targets=around)
    yield replace(first, account="read x y z; not used: é")
    yield make_scan(NAMES[2], dimension=dimension, kind="estimated-unoriented", seed=2)
    yield make_scan(NAMES[1], n=60, dimension=dimension, normals=False, seed=1)


def facts(store):
    return [
        (
            name,
            store.num_points(name),
            store.num_targets(name),
            store.normals_kind(name),
            store.has_trusted_normals(name),
            store.frame(name).centre.tolist(),
            store.frame(name).scale,
            store.checksum(name),
        )
        for name in store.names
    ]


def without_index(path):
    with h5py.File(path, "r+") as file:
        del file["index"], file["accounts"]
    return path


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_index_says_what_the_groups_hold(tmp_path, dimension):
    path = write(tmp_path / "s.hdf5", *some_scans(dimension), dimension=dimension)
    store = ScanStore(path)
    with_index, manifest = facts(store), store.manifest()
    assert store.names == NAMES
    assert list(store.verify()) == [None] * 3
    accounts = store.accounts()
    assert accounts == [row["account"] for row in manifest] == ["read x y z; not used: é", "", ""]
    joined = merge([path], tmp_path / "merged.hdf5", progress=False)
    assert facts(joined) == with_index
    store.close()
    plain = ScanStore(without_index(path))
    assert plain.accounts() == joined.accounts() == accounts
    assert facts(plain) == with_index and plain.manifest() == manifest
    assert plain.content == store.content == joined.content


def test_facts_of_all_scans_need_no_group(tmp_path):
    store = ScanStore(write(tmp_path / "s.hdf5", *some_scans(3)))
    (tmp_path / "s.hdf5").unlink()
    assert [store.num_points(name) for name in store.names] == [80, 60, 80]
    with pytest.raises(InputError, match="one of them is 'a'"):
        store.num_points("b")


def test_an_empty_store_and_one_whose_writer_failed(tmp_path):
    path = tmp_path / "s.hdf5"
    with StoreWriter(path, "m", 3):
        pass
    assert ScanStore(path).names == ()
    with pytest.raises(KeyError), StoreWriter(path, "m", 3):
        raise KeyError("stop")
    assert ScanStore(path).names == ()


def test_an_index_that_lies_is_refused_by_name(tmp_path):
    path = write(tmp_path / "s.hdf5", *some_scans(3))
    whole = path.read_bytes()
    kind = record_type(3)
    with h5py.File(path) as file:
        content = file["index"][()].tobytes()
    records = np.frombuffer(content[: 3 * kind.itemsize], kind)
    names = content[3 * kind.itemsize :]

    def opened(replaced):
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            del file["index"]
            file["index"] = np.frombuffer(replaced, np.uint8)
        return ScanStore(path)

    at_once = {
        "cut": content[:-1],
        "longer": content + b"\nb",
        "empty": b"",
        "renamed": content.replace(b"zzz\n", b"zzy\n"),
        "no utf-8": content[:-1] + b"\xff",
        "other order": records[::-1].tobytes() + names,
        "checksum": bytes([content[0] ^ 1]) + content[1:],
    }
    for key, value in [("scale", 0.0), ("scale", np.nan), ("num_points", -1), ("normals_kind", 9)]:
        changed = records.copy()
        changed[key][0] = value
        at_once[f"{key} {value}"] = changed.tobytes() + names
    for fault, replaced in at_once.items():
        with pytest.raises(InputError, match="the index does not fit the scans"):
            opened(replaced)
            pytest.fail(fault)
    for key in kind.names[1:]:
        changed = records.copy()
        changed[key][0] += 1
        store = opened(changed.tobytes() + names)
        for use in (lambda s: s.read("a"), lambda s: s.scan("a"), lambda s: s.read_targets("a")):
            with pytest.raises(InputError, match="the index does not fit scan 'a'"):
                use(store)
        assert len(store.read(NAMES[1])[0]) == 60
        store.close()


def test_accounts_that_do_not_fit_are_refused_by_name(tmp_path):
    path = write(tmp_path / "s.hdf5", *some_scans(3))
    with h5py.File(path) as file:
        content = file["accounts"][()].tobytes()
    for bad in (
        b"",
        content[:11],
        content[:-1],
        b"\xff" * 12 + content[12:],
        content[:12] + b'{"a": 1}',
        content[:12] + b"3",
        content[:12] + b"[" * 100_000,
        content[:12] + b"\xff",
    ):
        with h5py.File(path, "r+") as file:
            del file["accounts"]
            file["accounts"] = np.frombuffer(bad, np.uint8)
        with pytest.raises(InputError, match=r"s.hdf5: the index does not fit .*its accounts"):
            ScanStore(path).accounts()


def test_scans_without_sigma(tmp_path):
    bare = [replace(scan, sigma=None) for scan in some_scans(3)]
    path = write(tmp_path / "s.hdf5", *bare)
    store = ScanStore(path)
    assert not store.has_sigma and store.read("a")[2] is None and store.scan("a").sigma is None
    assert list(store.verify()) == [None] * 3
    store.close()
    full = write(tmp_path / "full.hdf5", make_scan("b"))
    assert ScanStore(full).has_sigma and ScanStore(full).content != store.content
    with pytest.raises(InputError, match=r"full.hdf5: has sigma, unlike .*--sigma"):
        merge([path, full], tmp_path / "both.hdf5", progress=False)
    with pytest.raises(InputError, match="all have sigma or all have none"):
        write(tmp_path / "both.hdf5", bare[0], make_scan("b"))
    for value in (7, -1):
        with h5py.File(path, "r+") as file:
            file.attrs["sigma"] = value
        with pytest.raises(InputError, match="not 0 or 1"):
            ScanStore(path)
    with h5py.File(path, "r+") as file:
        file.attrs["sigma"] = 1
    with pytest.raises(InputError, match="'sigma' in /scans/a is missing"):
        ScanStore(path).read("a")
