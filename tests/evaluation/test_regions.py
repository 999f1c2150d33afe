"""Errors split by what the scan has seen and by labelled parts: exact laws, and a naive twin."""

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import checked
from shapespace.errors import InputError
from shapespace.evaluation.compare import scores_of
from shapespace.evaluation.definitions import Thresholds, definition
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.regions import Regions, labelled_triangles, misfit, read_labels
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.geometry.proximity import nearest_on_mesh, point_to_mesh

SAMPLES = 4000


def plate(x, z):
    """A unit square at a height, of two triangles."""
    corners = np.array([[x, 0, z], [x + 1, 0, z], [x + 1, 1, z], [x, 1, z]], float)
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)


def plates(left, right):
    """Two squares, one metre apart, each at a height of its own."""
    return trimesh.util.concatenate([plate(0, left), plate(2, right)])


def sampled(mesh, seed=0):
    return SampledSurface.of_mesh(mesh, SAMPLES, seed)


def columns_of(mesh, regions):
    found = surface_distances(sampled(mesh), regions.target, regions=regions)
    ends = ("_seen", "_unseen", "_left", "_right", "seen_share")
    return {name: value for name, value in found.items() if name.endswith(ends)}


def of_plates(scan):
    truth = sampled(plates(0, 0), 1)
    left = np.arange(8) < 4
    labels = labelled_triangles({"left": left, "right": ~left}, truth.mesh.faces)
    return Regions(truth, scan, Thresholds().seen, labels)


def test_two_plates_of_which_one_is_scanned():
    cloud = SampledSurface(sampled(plate(0, 0.003), 2).points)
    dense = SampledSurface(np.random.default_rng(0).uniform(0, 1, (400_000, 3)) * [1, 1, 0])
    for scan, seen in ((SampledSurface(cloud.points, None, plate(0, 0.0049)), 0.5), (dense, 0.5)):
        regions = of_plates(scan)
        share = regions.target.points[:, 0] < 1.5
        found = columns_of(plates(0.01, 0.03), regions)
        exact = {"seen": 0.01, "unseen": 0.03, "left": 0.01, "right": 0.03}
        for name, value in exact.items():
            assert found[f"point_to_mesh_{name}"] == pytest.approx(value, abs=1e-12), name
        assert found["seen_share"] == share.mean() == pytest.approx(seen, abs=0.03)
    # No place is as near as 5 mm to a mesh at 5.1 mm: there is no seen error.
    none = columns_of(
        plates(0.01, 0.03), of_plates(SampledSurface(cloud.points, None, plate(0, 0.0051)))
    )
    assert none["seen_share"] == 0 and "point_to_mesh_seen" not in none
    assert none["point_to_mesh_unseen"] == pytest.approx(0.02, abs=1e-3)


def test_a_part_that_was_not_reconstructed_is_as_far_as_its_truth_is_from_the_rest():
    regions = of_plates(SampledSurface(np.zeros((1, 3)), None, plate(0, 0)))
    found = columns_of(plate(0, 0.01), regions)
    assert found["point_to_mesh_seen"] == pytest.approx(0.01, abs=1e-12)
    points = regions.target.points
    far = point_to_mesh(points[points[:, 0] > 1.5], plate(0, 0.01)).mean()
    assert far > 1
    assert found["point_to_mesh_unseen"] == found["point_to_mesh_right"] == far
    lost = columns_of(trimesh.Trimesh(), regions)
    assert lost.pop("seen_share") == found["seen_share"]
    assert set(lost.values()) == {np.inf} and len(lost) == 4


def test_concentric_spheres_of_which_one_half_is_scanned():
    ball = trimesh.creation.icosphere(5)
    up = ball.triangles_center[:, 2] > 0

    def halves(upper, lower):
        parts = [
            trimesh.Trimesh(ball.vertices * r, ball.faces[side], process=False)
            for r, side in ((upper, up), (lower, ~up))
        ]
        return trimesh.util.concatenate(parts)

    scan = trimesh.Trimesh(ball.vertices, ball.faces[up], process=False)
    truth = sampled(ball, 1)
    labels = labelled_triangles({"top": ball.vertices[:, 2] > 0}, ball.faces)
    regions = Regions(truth, SampledSurface(scan.vertices, None, scan), 0.005, labels)
    found = scores_of(
        "ball",
        halves(1.02, 1.08),
        {"registration": truth},
        SAMPLES,
        regions={"registration": regions},
    ).parts["registration"]
    # Near the equator, the other half may be nearer: by that share of 0.06 the means may differ.
    near = 0.06 * 0.08
    assert found["point_to_mesh_seen"] == pytest.approx(0.02, abs=near)
    assert found["point_to_mesh_top"] == pytest.approx(0.02, abs=near)
    assert found["point_to_mesh_unseen"] == pytest.approx(0.08, abs=near)
    assert found["seen_share"] == pytest.approx(0.5, abs=0.02)
    parts = found["point_to_mesh_seen"], found["point_to_mesh_unseen"]
    assert found["point_to_mesh"] == pytest.approx(np.mean(parts), abs=1e-3)


def test_the_split_is_that_of_the_experiment():
    rng = np.random.default_rng(0)
    truth = trimesh.creation.torus(1.0, 0.3)
    bent = trimesh.Trimesh(truth.vertices * [1.02, 0.97, 1.1], truth.faces, process=False)
    cut = trimesh.Trimesh(
        truth.vertices, truth.faces[truth.triangles_center[:, 0] > 0.2], process=False
    )
    cloud = SampledSurface(truth.vertices[rng.random(len(truth.vertices)) < 0.2])
    for scan, within in ((SampledSurface(cut.vertices, None, cut), 0.005), (cloud, 0.1)):
        target = sampled(truth, 1)
        found = columns_of(bent, Regions(target, scan, within))
        own = sampled(bent).points
        to, place = nearest_on_mesh(own, truth)
        back = point_to_mesh(target.points, bent)
        if scan.mesh is None:
            off = [
                np.linalg.norm(p[:, None] - scan.points, axis=2).min(1)
                for p in (place, target.points)
            ]
        else:
            off = [point_to_mesh(p, cut) for p in (place, target.points)]
        here, there = (distance <= within for distance in off)
        assert 0.05 < there.mean() < 0.95
        expected = {
            "point_to_mesh_seen": (to[here].mean() + back[there].mean()) / 2,
            "point_to_mesh_unseen": (to[~here].mean() + back[~there].mean()) / 2,
            "seen_share": there.mean(),
        }
        assert found == pytest.approx(expected, rel=1e-12)


def test_labels_are_read_or_refused_in_one_line(tmp_path):
    mask = np.arange(5) < 2
    np.savez(tmp_path / "good.npz", hands=mask, feet=~mask)
    labels = read_labels(tmp_path / "good.npz")
    assert list(labels) == ["hands", "feet"] and (labels["feet"] == ~mask).all()
    faces = np.array([[0, 1, 2], [2, 3, 4], [0, 1, 0]])
    triangles = labelled_triangles(labels, faces)
    assert {name: list(rows) for name, rows in triangles.items()} == {
        "hands": [False, False, True],
        "feet": [False, True, False],
    }
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert misfit(labels, checked(points, faces[:2])) == misfit({}, checked(points)) == ""
    assert misfit(labels, checked(points)) == "the true surface has no triangles"
    words = "the masks have 5 vertices, the true surface 6"
    assert misfit(labels, checked(np.vstack([points, points[:1]]), faces[:2])) == words
    assert "'hands' of T" in definition("point_to_mesh_hands").text
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "one.npy", mask)
    bad = {
        "none": {},
        "float": {"a": mask.astype(float)},
        "flat": {"a": mask[None]},
        "seen": {"seen": mask},
        "spaces": {"left hand": mask},
        "sizes": {"a": mask, "b": mask[:4]},
        "objects": {"a": np.array([None, 1], object)},
    }
    for name, masks in bad.items():
        np.savez(tmp_path / f"{name}.npz", **masks)
    for name, words in {
        "missing.npz": "cannot be read",
        "text.npz": "cannot be read",
        "one.npy": "cannot be read",
        "objects.npz": "cannot be read",
        "none.npz": "holds no mask",
        "float.npz": "a is float64 of shape",
        "flat.npz": "a is bool of shape",
        "seen.npz": "'seen' cannot name a part",
        "spaces.npz": "'left hand' cannot name a part",
        "sizes.npz": "masks of 4 and 5 vertices",
    }.items():
        with pytest.raises(InputError) as caught:
            read_labels(tmp_path / name)
        text = str(caught.value)
        assert words in text and f"labels={tmp_path / name}" in text and "\n" not in text
