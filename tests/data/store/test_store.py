"""Laws of the store: exact round trips, writes that are all or nothing, strangers refused."""

import dataclasses
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest

from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import Frame, PreparedScan, Targets, rounded_normals


def make_scan(name="a", n=80, dimension=3, normals=True, seed=0, kind=None, targets=None):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, dimension)).astype(np.float32)
    unit = rounded_normals(points / np.linalg.norm(points, axis=1, keepdims=True))
    return PreparedScan(
        name=name,
        points=points,
        normals=unit if normals else None,
        sigma=rng.random(n, np.float32),
        frame=Frame(rng.normal(size=dimension), 0.25),
        source=f"scans/{name}.ply",
        source_hash="ab" * 32,
        num_source_points=7,
        num_source_faces=9,
        seed=seed,
        normals_kind=kind or ("measured" if normals else "none"),
        targets=targets,
        stamp="of the file",
    )


def write(path, *scans, unit="m", dimension=3):
    with StoreWriter(path, unit, dimension) as writer:
        for scan in scans:
            writer.add(scan)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "s.hdf5", make_scan("b", normals=False, seed=1), make_scan("a"))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("normals", [False, True])
def test_round_trip_is_exact(tmp_path, dimension, normals):
    scan = make_scan("é x.1", dimension=dimension, normals=normals)
    with ScanStore(write(tmp_path / "s.hdf5", scan, unit="radius", dimension=dimension)) as store:
        assert (store.unit, store.dimension, store.names) == ("radius", dimension, ("é x.1",))
        points, found, sigma = store.read("é x.1")
        np.testing.assert_array_equal(points, scan.points)
        np.testing.assert_array_equal(sigma, scan.sigma)
        assert points.dtype == sigma.dtype == np.float32
        assert store.has_trusted_normals("é x.1") == normals == (found is not None)
        if normals:
            np.testing.assert_array_equal(found, scan.normals)
        assert_same(store.scan("é x.1"), scan)
        np.testing.assert_array_equal(store.frame("é x.1").centre, scan.frame.centre)
        assert store.frame("é x.1").scale == scan.frame.scale


def assert_same(left, right):
    for field in dataclasses.fields(right):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if dataclasses.is_dataclass(b):
            assert_same(a, b)
        else:
            np.testing.assert_equal(a, b)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["measured", "estimated-oriented", "estimated-unoriented"])
def test_targets_and_kinds_of_normals_come_back(tmp_path, signed, kind):
    rng = np.random.default_rng(0)
    around = Targets(rng.random((70, 3), np.float32), rng.random(70, np.float32), signed)
    scan = make_scan(kind=kind, targets=around)
    store = ScanStore(write(tmp_path / "s.hdf5", scan, make_scan("b")))
    assert_same(store.scan("a"), scan)
    assert (store.num_targets("a"), store.num_targets("b")) == (70, 0)
    assert store.normals_kind("a") == kind
    some = store.read_targets("a", 60, 10)
    np.testing.assert_array_equal(some.distance, around.distance[60:])
    np.testing.assert_array_equal(some.points, around.points[60:])
    with pytest.raises(InputError, match="targets 60 to 71 of 'a', which has 70"):
        store.read_targets("a", 60, 11)
    assert scan.checksum != make_scan(kind=kind).checksum


def test_rounded_normals_are_nearly_the_normals():
    normals = np.random.default_rng(0).normal(size=(100_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    rounded = rounded_normals(normals).astype(np.float64)
    sine = np.linalg.norm(np.cross(normals, rounded), axis=1) / np.linalg.norm(rounded, axis=1)
    assert np.degrees(sine.max()) < 0.002
    np.testing.assert_array_equal(rounded_normals(rounded), rounded)
    assert not rounded_normals(np.zeros((2, 3))).any()


def test_the_content_depends_on_what_is_stored_alone(tmp_path):
    one = ScanStore(write(tmp_path / "1.hdf5", make_scan("a"), make_scan("b", seed=1)))
    moved = dataclasses.replace(make_scan("a"), source="elsewhere/a.ply", stamp="later")
    two = ScanStore(write(tmp_path / "2.hdf5", make_scan("b", seed=1), moved))
    assert one.content == two.content
    shifted = dataclasses.replace(make_scan("a"), frame=Frame(np.zeros(3), 0.25))
    other = ScanStore(write(tmp_path / "3.hdf5", shifted, make_scan("b", seed=1)))
    assert other.content != one.content


def flip(path, store, name, dataset, byte):
    with h5py.File(path, "r") as file:
        offset = file[f"scans/{name}/{dataset}"].id.get_offset()
    with path.open("r+b") as file:
        file.seek(offset + byte)
        old = file.read(1)
        file.seek(offset + byte)
        file.write(bytes([old[0] ^ 1]))


@pytest.mark.parametrize("dataset", ["points", "normals", "sigma"])
@pytest.mark.parametrize("byte", [0, 100])
def test_one_flipped_bit_is_found(path, dataset, byte):
    assert list(ScanStore(path).verify()) == [None, None]
    flip(path, ScanStore(path), "a", dataset, byte)
    first, second = ScanStore(path).verify()
    assert second is None and "scan 'a' is damaged" in first and str(path) in first
    with pytest.raises(InputError, match="damaged"):
        ScanStore(path).scan("a")


def test_changed_attributes_and_lost_scans_are_found(path):
    with h5py.File(path, "r+") as file:
        file["scans/b"].attrs["scale"] = 0.3
    assert [fault is None for fault in ScanStore(path).verify()] == [True, False]
    with h5py.File(path, "r+") as file:
        del file["scans/b"]
    with pytest.raises(InputError, match="the index does not fit the scans"):
        ScanStore(path)
    with h5py.File(path, "r+") as file:
        del file["index"]
    good, fault = ScanStore(path).verify()
    assert good is None and "scans were added, removed or renamed" in fault


def test_windows_are_slices(path):
    store, scan = ScanStore(path), make_scan("a")
    for start, count in [(0, 80), (0, 0), (80, 0), (79, 1), (13, 20)]:
        points, normals, sigma = store.read("a", start, count)
        np.testing.assert_array_equal(points, scan.points[start : start + count])
        np.testing.assert_array_equal(normals, scan.normals[start : start + count])
        np.testing.assert_array_equal(sigma, scan.sigma[start : start + count])
    for start, count in [(-1, 2), (70, 11), (5, -1), (81, None)]:
        with pytest.raises(InputError, match="which has 80"):
            store.read("a", start, count)


def test_names_are_sorted_and_the_manifest_follows(path):
    store = ScanStore(path)
    assert store.names == ("a", "b") and len(store) == 2 and "a" in store and "c" not in store
    rows = store.manifest()
    assert [row["name"] for row in rows] == ["a", "b"]
    assert [row["normals"] for row in rows] == ["measured", "none"]
    expected = {"source": "scans/a.ply", "num_points": 80, "num_source_faces": 9, "seed": 0}
    assert expected.items() <= rows[0].items()
    assert rows[0]["centre"] == make_scan("a").frame.centre.tolist()


def _read_first(store):
    return store.read(store.names[0], 0, 5)[0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_used_store_travels_to_other_processes(path, method):
    store = ScanStore(path)
    here = _read_first(store)
    with multiprocessing.get_context(method).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(_read_first, (store,)), here)
    np.testing.assert_array_equal(_read_first(pickle.loads(pickle.dumps(store))), here)


def test_handles_are_bounded_and_the_store_reopens(path, monkeypatch):
    monkeypatch.setattr("shapespace.data.store.store.MAX_ENTRIES", 1)
    store = ScanStore(path)
    for name in "abab":
        assert len(store.read(name)[0]) == 80
        assert len(store._entries) == 1
    store.close()
    assert len(store.read("b")[0]) == 80


def test_unknown_name_names_the_nearest(path):
    with pytest.raises(InputError, match=r"'aa'; the nearest is 'a'"):
        ScanStore(path).read("aa")


def test_an_exception_leaves_the_old_store_and_no_other_file(path, tmp_path):
    before = path.read_bytes()
    with pytest.raises(KeyError), StoreWriter(path, "m", 3) as writer:
        writer.add(make_scan("new"))
        raise KeyError("stop")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["s.hdf5"]


def test_replaces_a_store_but_nothing_else(path, tmp_path):
    write(path, make_scan("c"))
    assert ScanStore(path).names == ("c",)
    other = tmp_path / "mesh.ply"
    other.write_text("precious")
    with pytest.raises(InputError, match="not overwritten"):
        StoreWriter(other, "m", 3)
    assert other.read_text() == "precious"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be an output folder"):
        StoreWriter(tmp_path / "file" / "s.hdf5", "m", 3)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb", "\udcff"])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="printable"):
        write(tmp_path / "s.hdf5", make_scan(name))
    assert not list(tmp_path.iterdir())


def test_repeated_names_and_other_dimensions_are_refused(tmp_path):
    with StoreWriter(tmp_path / "s.hdf5", "m", 3) as writer:
        writer.add(make_scan("a"))
        with pytest.raises(InputError, match="two scans are called 'a'"):
            writer.add(make_scan("a"))
        with pytest.raises(InputError, match="is 2-D, the store's scans 3-D"):
            writer.add(make_scan("b", dimension=2))


def break_version(file):
    file.attrs["version"] = 7


def break_format(file):
    del file.attrs["format"]


def break_dimension(file):
    file.attrs["dimension"] = 5


def drop_sigma(file):
    del file["scans/a/sigma"]


def drop_centre(file):
    del file["scans/a"].attrs["centre"]


def flat_centre(file):
    file["scans/a"].attrs["centre"] = np.zeros(2)


def zero_scale(file):
    file["scans/a"].attrs["scale"] = 0.0


def retype(file):
    del file["scans/a/points"]
    file["scans/a/points"] = np.zeros((80, 3))


def reshape(file):
    del file["scans/a/points"]
    file["scans/a/points"] = np.zeros((79, 3), np.float32)


def strings(file):
    del file["scans/a/points"]
    file["scans/a/points"] = np.array([b"x"] * 80)


def chunk(file):
    del file["scans/a/sigma"]
    file["scans/a"].create_dataset("sigma", data=np.zeros(80, np.float32), chunks=(8,))


def declare_terabytes(file):
    del file["scans/a/points"]
    file["scans/a"].create_dataset("points", (10**12, 3), np.float32, chunks=(1000, 3))


def soft_link(file):
    del file["scans/a/sigma"]
    file["scans/a/sigma"] = h5py.SoftLink("/scans/b/sigma")


def external_link(file):
    del file["scans/a"]
    file["scans/a"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file):
    del file["scans/a/sigma"]
    file["scans/a"].create_dataset("sigma", (80,), np.float32, external=[("/etc/passwd", 0, 320)])


def dataset_for_group(file):
    del file["scans/a"]
    file["scans/a"] = np.zeros(3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (break_version, "store version 7, this shapespace reads version 2"),
        (break_format, "not a store of scans"),
        (break_dimension, "no unit or dimension"),
        (drop_sigma, "'sigma' in /scans/a is missing"),
        (drop_centre, "attribute 'centre' of /scans/a is missing"),
        (zero_scale, "scale 0.0"),
        (flat_centre, "3 finite numbers"),
        (retype, "not contiguous float32 but float64"),
        (reshape, r"sigma has shape \(80,\), not \(79,\)"),
        (strings, "numbers are needed"),
        (chunk, "not contiguous"),
        (declare_terabytes, "declares 12000000000000 bytes but holds 0"),
        (soft_link, "is a link"),
        (external_link, "is a link"),
        (external_storage, "stored in other files"),
        (dataset_for_group, "must be a group"),
    ],
)
def test_a_stranger_is_refused_in_one_line(path, fault, message):
    with h5py.File(path, "r+") as file:
        fault(file)
    with pytest.raises(InputError, match=message) as caught:
        ScanStore(path).read("a")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        ScanStore(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        ScanStore(tmp_path / "text.hdf5")


def test_truncated_anywhere_is_refused_or_read_right(path):
    content = path.read_bytes()
    expected = make_scan("a").points
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:size])
        try:
            points, _, _ = ScanStore(path).read("a")
        except InputError:
            continue
        np.testing.assert_array_equal(points, expected)
