"""Distances around scans: read, drawn, measured, or refused with what adds them."""

import pickle

import numpy as np
import pytest
import torch

from shapespace.data.distances import (
    FAR,
    SearchTree,
    measured_targets,
    nearest,
    points_around,
    rows_of_both_sides,
)
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.data.target_windows import target_windows
from shapespace.errors import InputError
from shapespace.scan import Frame, PreparedScan, Targets, rounded_normals


def ball(name="a", num=3000, kind="measured", targets=None, sigma=True, dimension=3, radius=0.5):
    rng = np.random.default_rng(len(name))
    unit = rng.normal(size=(num, dimension))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    points = (radius * unit).astype(np.float32)
    normals = None if kind == "none" else rounded_normals(unit.astype(np.float32))
    spacing = np.full(num, 0.05, np.float32) if sigma else None
    frame = Frame(np.zeros(dimension))
    facts = (f"scans/{name}.ply", "", 0, 0, 0, kind, targets)
    return PreparedScan(name, points, normals, spacing, frame, *facts)


def around(count=40, signed=True, dimension=3, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    distance = np.linalg.norm(points, axis=1) - np.float32(0.5)
    return Targets(points, distance if signed else np.abs(distance), signed)


def store_of(path, *scans, dimension=3):
    with StoreWriter(path, "m", dimension) as writer:
        for scan in scans:
            writer.add(scan)
    return ScanStore(path)


def windows(store, needs, num_targets=None, num_points=16, seed=0):
    return target_windows(
        store,
        store.names,
        frozenset(needs.split()),
        num_targets=num_targets,
        num_points=num_points,
        seed=seed,
        reader="SAL",
    )


@pytest.mark.parametrize("dimension", [2, 3])
def test_distances_to_a_dense_ball_are_those_to_the_ball(dimension):
    scan = ball(num=20_000, dimension=dimension)
    tree = SearchTree.of(scan.points, scan.sigma)
    points = points_around(tree, 4000, np.random.default_rng(0))
    found = nearest(tree, points)
    radius = np.linalg.norm(points, axis=1)
    exact = np.abs(radius - 0.5)
    far = exact > 0.1
    assert np.abs(found.distance - exact)[far].max() < 4e-3
    outward = (found.direction * points).sum(1) / radius
    assert (outward * np.sign(radius - 0.5))[far].min() > 0.98
    # Every second point is off by the spacing, the others by FAR in each coordinate.
    offset = exact[::2], exact[1::2]
    assert np.std(np.append(offset[0], -offset[0])) == pytest.approx(0.05, rel=0.1)
    assert np.mean(exact[1::2]) > 0.5 * FAR


def test_spacing_is_measured_where_the_store_has_none():
    scan = ball(num=500, sigma=False)
    tree = SearchTree.of(scan.points, None)
    rows = np.array([3, 3, 7])
    apart = np.linalg.norm(scan.points[:, None] - scan.points[rows], axis=2)
    np.testing.assert_allclose(tree.spacing(rows), np.sort(apart, 0)[50], rtol=1e-5)
    assert np.isnan(tree.sigma).sum() == 498
    few = SearchTree.of(scan.points[:5], None)
    assert np.isfinite(few.spacing(np.arange(5))).all()


def test_draws_depend_on_scan_and_visit_alone(tmp_path):
    store = store_of(tmp_path / "s.hdf5", ball("a"), ball("bb", sigma=True))
    one = windows(store, "unsigned distance_gradient")
    two = pickle.loads(pickle.dumps(windows(store, "unsigned distance_gradient")))
    batch = one.read(["a", "bb"], [(0, 5), (1, 6)])
    alone = two.read(["bb"], [(1, 6)])
    assert torch.equal(batch.points[1:], alone.points)
    assert torch.equal(batch.gradient[1:], alone.gradient)
    assert not batch.signed and (batch.distance >= 0).all() and batch.points.shape == (2, 16, 3)
    assert not torch.equal(two.read(["bb"], [(1, 7)]).points, alone.points)
    assert not torch.equal(
        windows(store, "unsigned", seed=1).read(["bb"], [(1, 6)]).points, alone.points
    )


def test_stored_targets_are_read_as_windows_that_wrap_around(tmp_path):
    stored = around()
    store = store_of(tmp_path / "s.hdf5", ball("a", targets=stored))
    reader = windows(store, "signed distance_gradient", num_points=30)
    starts = set()
    for visit in range(40):
        found = reader.read(["a"], [(0, visit)])
        start = int(np.flatnonzero((stored.points == found.points[0, 0].numpy()).all(1))[0])
        np.testing.assert_array_equal(found.points[0], np.roll(stored.points, -start, 0)[:30])
        np.testing.assert_array_equal(found.distance[0], np.roll(stored.distance, -start)[:30])
        starts.add(start)
    assert found.signed and len(starts) > 15 and max(starts) > 10
    outward = torch.nn.functional.normalize(found.points, dim=-1)
    assert ((found.gradient * outward).sum(-1)[found.distance.abs() > 0.1]).min() > 0.9
    unsigned = windows(store, "unsigned", num_targets=40).read(["a"], [(0, 0)])
    assert not unsigned.signed and unsigned.gradient is None and (unsigned.distance >= 0).all()
    assert windows(store, "normals second_derivatives") is None


def test_half_of_the_targets_are_inside_where_both_sides_are_needed(tmp_path):
    stored = around(400)  # a tenth is inside
    inside = np.flatnonzero(stored.distance < 0)
    assert 10 < len(inside) < 80
    store = store_of(tmp_path / "s.hdf5", ball("a", targets=stored))
    reader = windows(store, "signed both_sides", num_targets=201)
    seen = set()
    for visit in range(60):
        found = reader.read(["a"], [(0, visit)])
        assert (found.distance < 0).sum() == 100
        rows = np.unique(found.points[0].numpy(), axis=0, return_index=True)[1]
        seen |= set(found.distance[0].numpy()[rows].tolist())
        torch.testing.assert_close(found.points.norm(dim=-1) - 0.5, found.distance)
    assert seen == set(stored.distance.tolist()), "all of them have their turn"
    again = windows(store, "signed both_sides", num_targets=201).read(["a"], [(0, 59)])
    assert torch.equal(again.points, found.points)
    unseen = measured_targets(ball(targets=stored), frozenset({"signed", "both_sides"}), 20, 0)
    assert (unseen.distance < 0).sum() == 10
    # Rows come again, each as often as the others of its side.
    rows = rows_of_both_sides(np.array([1.0, -1.0, 2.0, 0.0]), 7, start=1)
    assert rows.tolist() == [1, 1, 1, 2, 3, 0, 2]
    outside = Targets(stored.points, np.abs(stored.distance), signed=True)
    store = store_of(tmp_path / "o.hdf5", ball("a", targets=outside))
    with pytest.raises(InputError, match=r"o\.hdf5: scan 'a': none of its 400 targets is inside"):
        windows(store, "signed both_sides").read(["a"], [(0, 0)])


def test_what_a_store_lacks_is_refused_with_the_command_that_adds_it(tmp_path):
    closed, open_ = around(), around(signed=False)
    path = tmp_path / "s.hdf5"
    again = rf"shapespace prepare scans {path} --targets 100000$"
    cases = [
        ([ball("a"), ball("bb")], "signed", None, rf"s.hdf5: scan 'a' holds no .*{again}"),
        ([ball("a", targets=closed), ball("bb")], "unsigned", None, "scan 'bb' holds no distances"),
        (
            [ball("a", targets=open_)],
            "signed",
            None,
            "'a' has unsigned distances, .*close the mesh",
        ),
        ([ball("a", targets=closed)], "signed", 41, "num_targets=41: .* holds 40; .*--targets 41$"),
        ([ball("a", kind="none")], "normals", None, "'a' has none normals, .*--normals estimate"),
        ([ball("a")], "normals", 5, "data.num_targets=5: SAL reads no targets"),
    ]
    for scans, needs, count, message in cases:
        with pytest.raises(InputError, match=message):
            windows(store_of(path, *scans), needs, count)


def test_targets_of_a_scan_outside_the_store():
    unsigned, signed = frozenset({"unsigned"}), frozenset({"signed", "distance_gradient"})
    bare = ball(num=20_000, kind="none", sigma=False)
    assert measured_targets(bare, frozenset({"normals"}), 8, 0) is None
    assert measured_targets(bare, signed, 8, 0) is None, "nothing tells its sides"
    found = measured_targets(bare, unsigned, 100, 0)
    assert found.distance.shape == (1, 100) and not found.signed and found.gradient is None
    by_normals = measured_targets(ball(num=20_000), signed, 1000, 0)
    exact = by_normals.points.norm(dim=-1) - 0.5
    # Beside the surface the nearest point is up to its spacing away.
    off = (by_normals.distance - exact).abs()
    assert by_normals.signed and off.max() < 0.02 and off.mean() < 1e-3
    own = ball(targets=around(3))
    repeated = measured_targets(own, signed, 7, 0)
    assert torch.equal(repeated.points[0, 3:6], torch.from_numpy(own.targets.points))
    # Unsigned targets of its own do not answer a need of signed ones: its normals do.
    assert measured_targets(ball(targets=around(3, signed=False)), signed, 50, 0).signed
