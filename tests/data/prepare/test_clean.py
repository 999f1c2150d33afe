"""``--clean`` leaves out what was added to a shape, counts it, and touches nothing else."""

import numpy as np
import trimesh

from shapespace.data.check import check_scans
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.clean import cleaned
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
from shapespace.synthetic.bodies import body, body_mesh
from shapespace.synthetic.dataset import SUBJECTS
from tests.data.check.corpus import largest


def person():
    return largest(body_mesh(body(SUBJECTS[0], "hips", 0.0), 0.05))


def shapes():
    """Clean meshes."""
    yield "person", person()
    yield "ball", trimesh.creation.icosphere(4, 0.5)
    yield "box", trimesh.creation.box((1, 2, 0.5)).subdivide().subdivide().subdivide().subdivide()
    torus = trimesh.creation.torus(0.6, 0.2)
    yield "torus", torus


def raw(mesh):
    return checked(np.array(mesh.vertices), np.array(mesh.faces, np.int64))


def cloud(mesh, count=5000):
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)
    return np.asarray(points), np.asarray(mesh.face_normals[faces])


def test_a_clean_scan_stays_as_it_is():
    for name, mesh in shapes():
        kept = cleaned(raw(mesh))
        assert kept.account.endswith("--clean: nothing left out"), name
        np.testing.assert_array_equal(kept.faces, mesh.faces)
        points, normals = cloud(mesh)
        given = checked(points, normals=normals)
        kept = cleaned(given)
        # A few points of a random sample may lie alone.
        assert len(kept.vertices) >= 0.999 * len(points), name
        assert len(kept.vertices) == len(kept.normals), name


def test_parts_apart_from_a_mesh_go_whole():
    for name, mesh in shapes():
        size = np.ptp(mesh.vertices, axis=0).max()
        for count, far in ((1, 0.6), (3, 2.0), (1, 30.0)):
            parts = [
                trimesh.creation.icosphere(1, 0.03 * size).apply_translation(
                    mesh.vertices.max(axis=0) + far * size * np.array([1.0, i, 0])
                )
                for i in range(count)
            ]
            dirty = trimesh.util.concatenate([mesh, *parts])
            kept = cleaned(raw(dirty))
            where = f"{name} {count} {far}"
            assert len(kept.faces) == len(mesh.faces), where
            said = f"{count} {'part' if count == 1 else 'parts'} apart from the shape left out"
            assert kept.account.endswith(f"--clean: {said}"), where


def test_flying_pixels_of_a_cloud_go():
    rng = np.random.default_rng(0)
    for name, mesh in shapes():
        points, normals = cloud(mesh)
        size = np.ptp(points, axis=0).max()
        for count, far in ((1, 0.5), (25, 1.0), (5, 1e3), (3, 1e8)):
            direction = rng.normal(size=(count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            flying = points.mean(axis=0) + (0.8 + far * rng.random((count, 1))) * size * direction
            order = rng.permutation(len(points) + count)
            dirty = checked(
                np.concatenate([points, flying])[order],
                normals=np.concatenate([normals, direction])[order],
            )
            kept = cleaned(dirty)
            left = {tuple(row) for row in kept.vertices.tolist()}
            assert not left & {tuple(row) for row in flying.tolist()}, f"{name} {count} {far}"
            assert len(left) >= 0.999 * len(points), f"{name} {count} {far}"
            lost = len(points) + count - len(left)
            assert f"--clean: {lost} of {len(points) + count} points left out" in kept.account
            np.testing.assert_allclose(np.linalg.norm(kept.normals, axis=1), 1)


def test_a_large_cloud_is_judged_by_its_neighbours():
    points, normals = cloud(person(), 60_000)
    points[:40] += [0, 0, 1.5]
    kept = cleaned(checked(points, normals=normals))
    assert 60_000 - 40 >= len(kept.vertices) >= 60_000 - 60


def test_a_part_as_large_as_a_limb_stays():
    two = trimesh.util.concatenate(
        [
            trimesh.creation.icosphere(3),
            trimesh.creation.icosphere(3, 0.4).apply_translation([3] * 3),
        ]
    )
    assert len(cleaned(raw(two)).faces) == len(two.faces)


def test_prepare_cleans_on_request_and_the_check_sends_there(tmp_path):
    ball = trimesh.creation.icosphere(1, 0.03).apply_translation([0.9, 1, 0.3])
    trimesh.util.concatenate([person(), ball]).export(tmp_path / "a.ply")
    points, normals = cloud(person())
    points[7] = [3e6, 0, 0]
    np.savez(tmp_path / "b.npz", points=points, normals=normals)
    store = tmp_path / "s.hdf5"
    plain = prepare(tmp_path, store, num_points=4000, progress=False)
    assert [name for name, _ in plain.counts.skipped] == ["b"]
    assert "b.npz: 1 of 5000 points lie far beyond the shape" in str(plain)
    (found,) = (f for f in check_scans(store, progress=False).findings if f.kind == "clutter")
    assert found.names == ("a",) and "prepare with --clean" in found.remedy
    before = ScanStore(store).content
    summary = prepare(tmp_path, store, num_points=4000, clean=True, progress=False)
    assert "a: read x y z, faces; --clean: 1 part apart from the shape left out" in str(summary)
    assert "b: read x y z, normals" in str(summary)
    assert "--clean: 1 of 5000 points left out" in str(summary)
    assert summary.counts.names == ["a", "b"] and summary.counts.num_reused == 0
    assert not any(f.kind == "clutter" for f in check_scans(store, progress=False).findings)
    # It is undone by leaving it out.
    assert prepare(tmp_path, store, num_points=4000, progress=False).content == before


def test_a_remedy_that_was_followed_is_not_given_again(tmp_path):
    mesh = person()
    plate = trimesh.creation.box((0.6, 0.6, 0.01)).apply_translation([1.6, 0, 0])
    trimesh.util.concatenate([mesh, plate]).export(tmp_path / "a.ply")
    summary = prepare(tmp_path, tmp_path / "s.hdf5", num_points=4000, clean=True, progress=False)
    told = [line for line in str(summary).splitlines() if line.startswith("warning")]
    assert not any("--clean" in line for line in told)
    findings = check_scans(tmp_path / "s.hdf5", progress=False).findings
    assert not any("prepare with --clean" in f.remedy for f in findings)
