"""Laws of preparing: the same by any number of workers, shards or stops; nothing done twice."""

import h5py
import numpy as np
import pytest
import trimesh

from shapespace.data.prepare import assemble
from shapespace.data.prepare.partial import partial_results_of
from shapespace.data.prepare.run import prepare, prepare_file
from shapespace.data.sources import find_sources
from shapespace.data.store.merge import merge
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from tests.conftest import ellipsoid

BALL = trimesh.creation.icosphere(subdivisions=2)


def ball(path, radius=1.0, centre=(0.0, 0.0, 0.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh = BALL.copy()
    mesh.vertices = mesh.vertices * radius + centre
    mesh.export(path)


def run(source, store, **options):
    return prepare(source, store, **{"num_points": 200, "progress": False, **options})


def content(path):
    store = ScanStore(path)
    return {str(row["name"]): (*store.read(str(row["name"])), row) for row in store.manifest()}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        for a, b in zip(left[name], right[name], strict=True):
            np.testing.assert_equal(a, b)


def test_a_mixed_folder(tmp_path):
    folder = tmp_path / "scans here"
    ball(folder / "b.ply", 0.5, (7.0, 8.0, 9.0))
    ball(folder / "deep" / "er" / "c.stl")
    np.savetxt(folder / "a.xyz", BALL.vertices)
    (folder / "bad.ply").write_text("nonsense")
    for other in ("README.md", "notes.txt", "d.ply.part", ".hidden.ply"):
        (folder / other).write_text("words")
    summary = run(folder, tmp_path / "s.hdf5", num_points=100)
    assert summary.counts.names == ["a", "b", "deep_er_c"] and summary.counts.num_points == 300
    assert [name for name, _ in summary.counts.skipped] == ["bad"] and summary.ignored.total() == 4
    text = str(summary)
    assert "scans: 3, 300 points" in text and "files ignored: 4" in text
    assert "skipped bad" in text and "bad.ply" in text and "content " in text
    store = ScanStore(tmp_path / "s.hdf5")
    assert (store.names, store.unit) == (("a", "b", "deep_er_c"), "m")
    np.testing.assert_allclose(store.frame("b").centre, [7, 8, 9], atol=0.1)
    assert store.normals_kind("a").startswith("estimated") and store.has_trusted_normals("b")
    row = store.manifest()[1]
    assert row["source"] == str(folder / "b.ply") and len(str(row["source_hash"])) == 64
    with pytest.raises(InputError, match=r"bad\.ply"):
        run(folder, tmp_path / "t.hdf5", num_points=100, strict=True)
    assert not (tmp_path / "t.hdf5").exists() and (tmp_path / "s.hdf5").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_changes_nothing(tmp_path, workers):
    folder_of(tmp_path / "in", "abcde")
    for seed, height in enumerate((0.4, 1.0, 2.5)):
        cloud, _ = ellipsoid((1.0, height, 0.7), 6000, seed)
        np.savetxt(tmp_path / "in" / f"cloud{seed}.xyz", cloud)
    (tmp_path / "in" / "bad.ply").write_text("bad")
    one = run(tmp_path / "in", tmp_path / "1.hdf5", num_points=500, targets=50)
    two = run(tmp_path / "in", tmp_path / "2.hdf5", num_points=500, targets=50, workers=workers)
    assert str(one.counts.skipped) == str(two.counts.skipped)
    assert (one.counts.names, one.content) == (two.counts.names, two.content)
    assert_equal(content(tmp_path / "1.hdf5"), content(tmp_path / "2.hdf5"))


def folder_of(path, names="abcdefg"):
    for i, name in enumerate(names):
        ball(path / f"{name}.ply", 1 + i / 10)
    np.savetxt(path / "cloud.xyz", trimesh.creation.icosphere(subdivisions=3).vertices * 1.5)
    return path


@pytest.mark.parametrize("of", [1, 3, 12])
def test_merged_shards_are_the_whole(tmp_path, of):
    source = folder_of(tmp_path / "in")
    whole = run(source, tmp_path / "whole.hdf5", num_points=150)
    parts = [
        run(source, tmp_path / "s.hdf5", num_points=150, shard=f"{i}/{of}").store
        for i in range(1, of + 1)
    ]
    assert sorted(p.name for p in parts) == [p.name for p in parts]
    assert parts[0].name == {1: "s.1-of-1.hdf5", 3: "s.1-of-3.hdf5", 12: "s.01-of-12.hdf5"}[of]
    merged = merge(parts[::-1], tmp_path / "merged.hdf5", progress=False)
    assert merged.content == whole.content and merged.shard == ""
    assert_equal(content(tmp_path / "merged.hdf5"), content(tmp_path / "whole.hdf5"))


def test_what_cannot_be_merged(tmp_path):
    source = folder_of(tmp_path / "in", "abc")
    one, two = (run(source, tmp_path / "s.hdf5", shard=f"{i}/3").store for i in (1, 2))
    out = tmp_path / "out.hdf5"
    with pytest.raises(InputError, match="shard 3 of 3 is missing"):
        merge([one, two], out)
    with pytest.raises(InputError, match="shard 1 of 3 is given twice"):
        merge([one, one], out)
    other = run(source, tmp_path / "s.hdf5", shard="1/2").store
    with pytest.raises(InputError, match="runs in 2 and in 3 parts"):
        merge([one, other], out)
    metres, again = run(source, tmp_path / "m.hdf5").store, run(source, tmp_path / "n.hdf5").store
    with pytest.raises(InputError, match="each hold a scan 'a'"):
        merge([metres, again], out)
    ball(tmp_path / "r" / "z.ply")
    radius = run(tmp_path / "r", tmp_path / "r.hdf5", normalise=True).store
    with pytest.raises(InputError, match=r"unit radius, 3-D, but .* unit m, 3-D"):
        merge([metres, radius], out)
    assert not out.exists()
    for shard in ("0/3", "4/3", "x", "1/0", "-1/2", "1/2/3"):
        with pytest.raises(InputError, match="give i/n with i from 1 to n"):
            run(source, tmp_path / "s.hdf5", shard=shard)


def test_a_second_run_does_nothing_and_a_changed_source_is_made_again(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in", "abc")
    first = run(source, tmp_path / "s.hdf5")
    before = (tmp_path / "s.hdf5").read_bytes()
    again = run(source, tmp_path / "s.hdf5")
    assert again.counts.num_reused == 4 and again.content == first.content
    assert again.counts.names == first.counts.names and (tmp_path / "s.hdf5").read_bytes() == before
    ball(source / "b.ply", 0.3)
    ball(source / "d.ply", 0.4)
    third = run(source, tmp_path / "s.hdf5")
    assert third.counts.num_reused == 3 and third.counts.names == ["a", "b", "c", "cloud", "d"]
    assert third.content == run(source, tmp_path / "fresh.hdf5").content != first.content
    assert run(source, tmp_path / "s.hdf5", seed=1).counts.num_reused == 0
    assert run(source, tmp_path / "s.hdf5", seed=1, scans=["a", "c"]).counts.num_reused == 2
    assert ScanStore(tmp_path / "s.hdf5").names == ("a", "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh.hdf5", "in", "s.hdf5"]


def test_a_stopped_run_keeps_what_it_has_done(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in")
    whole = run(source, tmp_path / "whole.hdf5")
    made = []

    def stop(job, **options):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(job)
        return make(job, **options)

    make = assemble._write_partial_result
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(assemble, "_write_partial_result", stop)
        run(source, tmp_path / "s.hdf5")
    parts = sorted((tmp_path / "s.hdf5.parts").glob("*.hdf5"))
    assert len(parts) == 3 and not (tmp_path / "s.hdf5").exists()
    parts[0].write_bytes(parts[0].read_bytes()[:-100])  # torn
    flipped = bytearray(parts[1].read_bytes())
    flipped[-200] ^= 1
    parts[1].write_bytes(flipped)
    (tmp_path / ".s.99.part.hdf5").write_text("left over")
    (tmp_path / "s.hdf5.parts" / f".{'0' * 64}.99.part.hdf5").write_text("left over")
    resumed = run(source, tmp_path / "s.hdf5")
    assert resumed.counts.num_reused == 3 and resumed.content == whole.content
    assert_equal(content(tmp_path / "s.hdf5"), content(tmp_path / "whole.hdf5"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "s.hdf5", "whole.hdf5"]


def test_a_damaged_scan_of_the_store_is_made_again(tmp_path):
    source = folder_of(tmp_path / "in", "ab")
    first = run(source, tmp_path / "s.hdf5")
    with h5py.File(first.store, "r+") as file:
        file["scans/a/points"][0] += 1
    ball(source / "c.ply")
    assert run(source, first.store).counts.num_reused == 3
    assert list(ScanStore(first.store).verify()) == [None] * 4


def test_one_prepare_at_a_time(tmp_path):
    source = folder_of(tmp_path / "in", "a")
    with (
        partial_results_of(tmp_path / "s.hdf5", "m"),
        pytest.raises(InputError, match="another prepare"),
    ):
        run(source, tmp_path / "s.hdf5")
    assert run(source, tmp_path / "s.hdf5").counts.names == ["a", "cloud"]


def test_normals_and_targets_as_asked(tmp_path):
    source = folder_of(tmp_path / "in", "a")
    for normals, kinds in (("source", ["measured", "none"]), ("none", ["none", "none"])):
        run(source, tmp_path / "s.hdf5", normals=normals, num_points=None)
        rows = ScanStore(tmp_path / "s.hdf5").manifest()
        assert [row["normals"] for row in rows] == kinds
    summary = run(source, tmp_path / "s.hdf5", normals="source", targets=40, num_points=150)
    store = ScanStore(tmp_path / "s.hdf5")
    assert [store.num_targets(name) for name in store.names] == [40, 40]
    assert [store.read_targets(name).signed for name in store.names] == [True, False]
    assert "scans with normals none: 1" in str(summary)
    assert {"read", "sample", "sigma", "targets", "write"} <= summary.counts.timings.keys()


def test_selecting_scans_changes_none_of_them(tmp_path):
    for name in "abcde":
        ball(tmp_path / "in" / f"{name}.ply")
    run(tmp_path / "in", tmp_path / "all.hdf5")
    everything = content(tmp_path / "all.hdf5")
    run(tmp_path / "in", tmp_path / "some.hdf5", scans=["d", "b"])
    assert_equal(content(tmp_path / "some.hdf5"), {name: everything[name] for name in "bd"})
    assert run(tmp_path / "in", tmp_path / "s.hdf5", every=2).counts.names == ["a", "c", "e"]
    with pytest.raises(InputError, match="'dd'; the nearest is 'd'"):
        run(tmp_path / "in", tmp_path / "s.hdf5", scans=["a", "dd"])


def test_units_end_in_metres(tmp_path):
    ball(tmp_path / "a.ply", 1000.0)
    summary = run(tmp_path / "a.ply", tmp_path / "s.hdf5")
    assert (
        "--unit mm" in summary.counts.warnings()[0]
        and "'a' reaches 1" in summary.counts.warnings()[0]
    )
    for unit, scale in [("mm", 1000), ("cm", 100), ("in", 39.3700787)]:
        run(tmp_path / "a.ply", tmp_path / "s.hdf5", unit=unit)
        np.testing.assert_allclose(ScanStore(tmp_path / "s.hdf5").frame("a").scale, scale)
    summary = run(tmp_path / "a.ply", tmp_path / "s.hdf5", normalise=True)
    store = ScanStore(tmp_path / "s.hdf5")
    assert store.unit == "radius" and not summary.counts.warnings()
    assert np.linalg.norm(store.read("a")[0], axis=1).max() == pytest.approx(1, rel=1e-6)


def test_names_that_collide_keep_their_suffix(tmp_path):
    for name in ("a.ply", "a.obj", "b.ply"):
        ball(tmp_path / name)
    assert [s.name for s in find_sources(tmp_path)] == ["a.obj", "a.ply", "b"]
    ball(tmp_path / "x" / "y.ply")
    ball(tmp_path / "x_y.ply")
    with pytest.raises(InputError, match=r"would both be 'x_y\.ply'"):
        find_sources(tmp_path)


def test_other_dimensions_are_skipped_and_2d_works(tmp_path):
    points = np.random.default_rng(0).normal(size=(80, 3))
    np.save(tmp_path / "a.npy", points[:, :2])
    np.save(tmp_path / "b.npy", points)
    summary = run(tmp_path, tmp_path / "s.hdf5", num_points=None)
    ((name, reason),) = summary.counts.skipped
    assert (
        summary.counts.names == ["b"] and name == "a" and "is 2-D, the store's scans 3-D" in reason
    )
    (tmp_path / "b.npy").unlink()
    assert run(tmp_path, tmp_path / "s.hdf5", num_points=None).counts.names == ["a"]
    assert ScanStore(tmp_path / "s.hdf5").read("a")[0].shape == (80, 2)
    np.save(tmp_path / "c.npy", points[:, 1:])
    again = run(tmp_path, tmp_path / "s.hdf5", num_points=None)
    assert again.counts.names == ["a", "c"] and again.counts.num_reused == 1
    with pytest.raises(InputError, match="is 2-D, the cameras 3-D"):
        run(tmp_path, tmp_path / "t.hdf5", num_points=None, cameras=np.zeros((1, 3)))


def test_a_mistake_of_ours_costs_one_scan(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in", "abc")

    def fails(raw, name, *args, **facts):
        if name == "b":
            raise MemoryError("Unable to allocate 7 TiB")
        return prepare_scan(raw, name, *args, **facts)

    prepare_scan = assemble.prepare_scan
    monkeypatch.setattr(assemble, "prepare_scan", fails)
    counts = run(source, tmp_path / "s.hdf5").counts
    assert counts.names == ["a", "c", "cloud"] and counts.skipped[0][0] == "b"
    assert "b.ply: cannot be prepared (MemoryError" in counts.skipped[0][1]


def test_a_spoiled_attribute_costs_one_scan(tmp_path):
    first = run(folder_of(tmp_path / "in", "ab"), tmp_path / "s.hdf5")
    with h5py.File(first.store, "r+") as file:
        del file["scans/a"].attrs["stamp"]
    again = run(tmp_path / "in", first.store)
    assert again.counts.num_reused == 2 and again.content == first.content


def test_prepare_file_equals_the_store(tmp_path):
    ball(tmp_path / "a.ply")
    run(tmp_path / "a.ply", tmp_path / "s.hdf5")
    scan = prepare_file(tmp_path / "a.ply", num_points=200)
    points, normals, sigma = ScanStore(tmp_path / "s.hdf5").read("a")
    np.testing.assert_array_equal(scan.points, points)
    np.testing.assert_array_equal(scan.normals, normals)
    np.testing.assert_array_equal(scan.sigma, sigma)
    assert scan.name == "a" and scan.source == str(tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 50}, "num_points=50"),
        ({"workers": 0}, "workers=0"),
        ({"every": 0}, "every=0"),
        ({"seed": -1}, "seed=-1"),
        ({"scans": []}, "no scan was selected"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    ball(tmp_path / "a.ply")
    with pytest.raises(InputError, match=message):
        run(tmp_path / "a.ply", tmp_path / "s.hdf5", **options)
    assert not (tmp_path / "s.hdf5").exists()


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        run(tmp_path / "none", tmp_path / "s.hdf5")
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="no scan among 0 files"):
        run(tmp_path / "in", tmp_path / "s.hdf5")
    (tmp_path / "in" / "a.ply").write_text("x")
    with pytest.raises(InputError, match=r"a\.ply: not a PLY file"):
        run(tmp_path / "in", tmp_path / "s.hdf5")
    ball(tmp_path / "in" / "b.ply")
    with pytest.raises(InputError, match="not overwritten"):
        run(tmp_path / "in", tmp_path / "in" / "b.ply")
