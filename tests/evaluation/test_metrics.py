"""Every column against exact answers and a naive twin; every column has its sentence."""

import math

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.evaluation.definitions import DISTANCES, Thresholds, definition, sentences
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.sampled_surface import SampledSurface
from tests.evaluation.test_sampled_surface import naive

LENGTHS = [name for name, known in DISTANCES.items() if known.kind == "length"]


def directions(count=3000, seed=0):
    found = np.random.default_rng(seed).normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def sphere(radius):
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


def test_concentric_spheres_in_the_same_directions_differ_by_exactly_their_radii():
    rays = directions()
    found = surface_distances(
        SampledSurface(1.01 * rays, rays), SampledSurface(rays, rays), Thresholds()
    )
    same = ("chamfer_half_unsquared", "chamfer_to", "chamfer_from", "median_to", "median_from")
    for name in (*same, "hausdorff", "hausdorff_to", "hausdorff_from", "mesh_accuracy_90"):
        assert found[name] == pytest.approx(0.01, abs=1e-12), name
    assert found["chamfer_l2_half_squared"] == pytest.approx(1e-4, abs=1e-12)
    assert found["chamfer_sum_squared"] == pytest.approx(2e-4, abs=1e-12)
    assert found["chamfer_l1_times_10"] == pytest.approx(0.1, abs=1e-12)
    assert found["normal_consistency"] == found["normal_consistency_signed"] == pytest.approx(1)
    assert found["fscore_5mm"] == 0


def test_concentric_spheres_of_triangles_differ_by_their_radii_within_the_tessellation():
    outer, inner = (
        SampledSurface.of_mesh(sphere(r), 4000, seed) for r, seed in ((1.1, 0), (1.0, 1))
    )
    found = surface_distances(outer, inner, num_points=20_000)
    sag = 1.1 - np.linalg.norm(sphere(1.1).triangles_center, axis=1).min()
    for name in ("accuracy_exact", "completeness_exact", "point_to_mesh", "hausdorff_exact"):
        assert found[name] == pytest.approx(0.1, abs=sag), name
    assert found["volume_iou"] == pytest.approx(1.1**-3, abs=0.02)
    assert found["chamfer_half_unsquared"] > found["point_to_mesh"]
    assert found["far_share_50mm"] == 1 and found["recall_10mm"] == 0


def test_a_shifted_plane_is_off_by_exactly_its_shift():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    low, high = (
        trimesh.Trimesh(corners + np.array([0, 0, z]), [[0, 1, 2], [0, 2, 3]], process=False)
        for z in (0, 0.003)
    )
    found = surface_distances(
        SampledSurface.of_mesh(high, 500), SampledSurface.of_mesh(low, 500, 1)
    )
    for name in LENGTHS:
        if "exact" in name or name == "point_to_mesh":
            assert found[name] == pytest.approx(0.003, abs=1e-12), name
    assert [found[f"fscore_{at}mm"] for at in (1, 2, 5, 10)] == [0, 0, 1, 1]
    assert found["far_share_50mm"] == 0 and "volume_iou" not in found


def test_all_columns_equal_their_naive_twins():
    a, b = (SampledSurface(points, directions(len(points))) for points in blobs())
    there, back = naive(a.points, b.points), naive(b.points, a.points)
    found = surface_distances(a, b, Thresholds((0.05, 0.1), 0.2))
    close = {
        "chamfer_half_unsquared": (there.mean() + back.mean()) / 2,
        "chamfer_l2_half_squared": (np.mean(there**2) + np.mean(back**2)) / 2,
        "chamfer_sum_squared": np.mean(there**2) + np.mean(back**2),
        "chamfer_l1_times_10": 10 * (there.mean() + back.mean()) / 2,
        "chamfer_to": there.mean(),
        "chamfer_from": back.mean(),
        "median_to": np.sort(there)[149:151].mean(),
        "hausdorff": max(there.max(), back.max()),
        "mesh_accuracy_90": np.quantile(there, 0.9),
        "precision_50mm": np.mean([x < 0.05 for x in there]),
        "recall_100mm": np.mean([x < 0.1 for x in back]),
        "far_share_200mm": np.mean([x > 0.2 for x in there]),
    }
    for name, value in close.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    table = np.linalg.norm(a.points[:, None] - b.points[None], axis=-1)
    to = [a.normals[i] @ b.normals[table[i].argmin()] for i in range(300)]
    back = [b.normals[j] @ a.normals[table[:, j].argmin()] for j in range(400)]
    both = (np.abs(to).mean() + np.abs(back).mean()) / 2
    assert found["normal_consistency"] == pytest.approx(both, rel=1e-12)
    signed = (np.mean(to) + np.mean(back)) / 2
    assert found["normal_consistency_signed"] == pytest.approx(signed, rel=1e-9)


def blobs():
    rng = np.random.default_rng(5)
    return rng.normal(size=(300, 3)), rng.normal(size=(400, 3))


def test_order_does_not_matter_sides_do():
    a, b = blobs()
    found, back = (
        surface_distances(SampledSurface(a), SampledSurface(b)),
        surface_distances(SampledSurface(b), SampledSurface(a)),
    )
    rng = np.random.default_rng(0)
    mixed = surface_distances(
        SampledSurface(rng.permutation(a)), SampledSurface(rng.permutation(b))
    )
    assert mixed == pytest.approx(found, rel=1e-12)
    for name in ("chamfer_half_unsquared", "chamfer_sum_squared", "hausdorff", "fscore_10mm"):
        assert back[name] == pytest.approx(found[name], rel=1e-12)
    for name in ("chamfer", "median", "hausdorff"):
        assert back[f"{name}_to"] == found[f"{name}_from"] != found[f"{name}_to"]
    assert back["precision_10mm"] == found["recall_10mm"]


def test_a_surface_is_at_no_distance_from_itself():
    ball = sphere(0.5)
    mine = SampledSurface.of_mesh(ball, 500)
    found = surface_distances(mine, mine)
    assert all(found[name] < 1e-7 for name in LENGTHS if name != "sampling_floor")
    assert found["volume_iou"] == found["fscore_1mm"] == 1
    assert found["normal_consistency_signed"] == pytest.approx(1)


def test_the_floor_is_the_chamfer_of_two_samplings():
    ball = sphere(1.0)
    found = surface_distances(
        SampledSurface.of_mesh(ball, 3000), SampledSurface.of_mesh(ball, 3000, 1)
    )
    assert found["sampling_floor"] == pytest.approx(found["chamfer_half_unsquared"], rel=0.05)
    # the nearest of a Poisson process of density n in the plane is 1 / (2 sqrt n) off
    assert found["sampling_floor"] == pytest.approx(0.5 / np.sqrt(3000 / ball.area), rel=0.05)
    assert found["point_to_mesh"] < 1e-7


def test_lengths_scale_and_shares_stay():
    thresholds = Thresholds(relative=True)
    small, large = (
        surface_distances(
            SampledSurface.of_mesh(sphere(1.01 * size), 500),
            SampledSurface.of_mesh(sphere(size), 500, 1),
            thresholds,
            2000,
        )
        for size in (1.0, 1000.0)
    )
    assert small.keys() == large.keys()
    for name, value in small.items():
        factor = {"length": 1e3, "squared length": 1e6, "share": 1.0}[definition(name).kind]
        assert large[name] == pytest.approx(factor * value, rel=1e-9, abs=1e-12), name
    assert {"fscore_0.1_percent", "fscore_1_percent", "far_share_5_percent"} <= small.keys()


def test_inside_out_is_told():
    ball, turned = sphere(1.0), sphere(1.0)
    turned.invert()
    found = surface_distances(
        SampledSurface.of_mesh(turned, 2000), SampledSurface.of_mesh(ball, 2000, 1)
    )
    assert found["normal_consistency"] > 0.99 and found["normal_consistency_signed"] < -0.99


@pytest.mark.parametrize("target", ["mesh", "cloud"])
def test_an_empty_reconstruction_is_infinitely_far_and_shares_nothing(target):
    ball = SampledSurface.of_mesh(sphere(1.0), 100)
    other = ball if target == "mesh" else SampledSurface(ball.points)
    found = surface_distances(SampledSurface.of_mesh(trimesh.Trimesh()), other)
    assert ("normal_consistency" in found, "volume_iou" in found) == 2 * (target == "mesh",)
    for name, value in found.items():
        if name != "sampling_floor":
            far = definition(name).kind != "share" or name.startswith("far_share")
            expected = 1 if name.startswith("far_share") else math.inf if far else 0
            assert value == expected, name
    with pytest.raises(InputError, match="the target has no surface"):
        surface_distances(ball, SampledSurface.of_mesh(trimesh.Trimesh()))


def test_a_cloud_has_no_columns_of_triangles_and_unknown_normals_are_left_out():
    a, b = blobs()
    bare = surface_distances(SampledSurface(a), SampledSurface(b))
    assert not {"accuracy_exact", "completeness_exact", "normal_consistency", "volume_iou"} & set(
        bare
    )
    normals = directions(400)
    normals[::2] = 0
    known = surface_distances(SampledSurface(a, directions(300)), SampledSurface(b, normals))
    assert 0 < known["normal_consistency"] <= 1
    assert "normal_consistency" not in surface_distances(
        SampledSurface(a, 0 * a), SampledSurface(b, normals)
    )
    flat = surface_distances(SampledSurface(a[:, :2]), SampledSurface(b[:, :2]))
    assert flat["chamfer_to"] == pytest.approx(naive(a[:, :2], b[:, :2]).mean(), rel=1e-12)
    ball = SampledSurface.of_mesh(sphere(1.0), 100)
    assert "completeness_exact" in surface_distances(
        ball, SampledSurface(b)
    ) and "volume_iou" not in surface_distances(ball, SampledSurface(b))


def test_every_column_has_a_sentence():
    ball = SampledSurface.of_mesh(sphere(1.0), 50)
    for thresholds in (Thresholds(), Thresholds((1e-7, 0.0025), relative=True)):
        found = surface_distances(ball, ball, thresholds)
        assert set(DISTANCES) <= set(found)
        texts = sentences(found)
        assert list(texts) == list(found) and all(texts.values())
        assert not any("{" in text for text in texts.values())
    assert "2.5 mm" in sentences(["fscore_2.5mm"])["fscore_2.5mm"]
    assert "0.25 % of the diagonal" in texts["recall_0.25_percent"]
