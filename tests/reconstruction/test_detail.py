"""Detail of a reconstruction: nearer to the scan, in its frame and unit, kept with its facts."""

import json

import numpy as np
import pytest
import torch
import trimesh

from shapespace.config.options import FitOptions, MeshOptions
from shapespace.data.sources import find_sources
from shapespace.errors import InputError
from shapespace.reconstruction.reconstruct import reconstruct_files
from tests.conftest import ellipsoid

AXES = (1.3, 0.8, 0.95)
"""Semi-axes of an ellipsoid that the toy space has not seen."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two files of one scan, the second in millimetres and elsewhere."""
    folder = tmp_path_factory.mktemp("scans")
    points, normals = ellipsoid(AXES, count=1500, seed=9)
    for name, scale, shift in (("metres", 1, 0), ("millimetres", 1000, 5000)):
        np.savetxt(folder / f"{name}.xyz", np.hstack([scale * points + shift, normals]))
    return folder


def off(mesh):
    """How far the vertices are from the ellipsoid, to first order."""
    points = np.asarray(mesh.vertices)
    value = np.sqrt(((points / AXES) ** 2).sum(1))
    return np.abs(value - 1) * np.linalg.norm(points, axis=1) / value


def made(checkpoint, scan, out, unit="m", **options):
    return reconstruct_files(
        checkpoint,
        find_sources(scan),
        out,
        FitOptions(num_points=500, **{"detail": "none", **options}),
        MeshOptions(resolution=48, unit=unit),
    ).done[0]


def test_detail_is_near_the_scan_in_its_own_unit(toy_checkpoint, scans, tmp_path):
    plain = made(toy_checkpoint, scans / "metres.xyz", tmp_path / "plain")
    full = made(toy_checkpoint, scans / "metres.xyz", tmp_path / "full", detail="full")
    assert off(plain.mesh).mean() > 0.05
    assert off(full.mesh).mean() < 0.01
    assert full.mesh.is_watertight and full.mesh.body_count == 1
    facts = json.loads((tmp_path / "full" / "metres.json").read_text())
    assert facts["detail"]["misfit"] < 0.02 and facts["made_by"]["detail"] == "full"
    assert 0 < facts["deviation_median"] < facts["deviation_95_percent"]
    # the line tells the distance of the points from this surface first, then from that of the code
    assert facts["detail"]["off_median"] < 10 < facts["off_median"]
    assert f"off by {facts['detail']['off_median']:.3g} median" in full.line()
    large = made(
        toy_checkpoint, scans / "millimetres.xyz", tmp_path / "mm", unit="mm", detail="full"
    )
    moved = trimesh.Trimesh((large.mesh.vertices - 5000) / 1000, large.mesh.faces, process=False)
    assert off(moved).mean() < 0.01
    of_large = large.facts["deviation_median"]
    np.testing.assert_allclose(of_large, facts["deviation_median"], rtol=0.1)  # both in mm


def test_refinement_and_detail_exclude_each_other():
    with pytest.raises(InputError, match="give one of them"):
        FitOptions(refine=10, detail="full")


def test_a_space_without_a_surface_gives_an_empty_mesh_and_says_so(toy_checkpoint, scans, tmp_path):
    content = torch.load(toy_checkpoint, weights_only=True)
    last = [name for name in content["state_dict"] if name.endswith("bias")][-1]
    content["state_dict"][last] += 100.0  # f is positive everywhere
    torch.save(content, tmp_path / "positive.ckpt")
    done = made(tmp_path / "positive.ckpt", scans / "metres.xyz", tmp_path / "out", detail="full")
    assert not len(done.mesh.faces) and done.failure and "EMPTY (" in done.line()


def test_points_that_are_given_several_times_count_once(toy_checkpoint, scans, tmp_path):
    rows = np.loadtxt(scans / "metres.xyz")
    np.savetxt(tmp_path / "six.xyz", np.tile(rows[:6], (12, 1)))
    six = made(toy_checkpoint, tmp_path / "six.xyz", tmp_path / "out", detail="full")
    assert "detail" not in six.facts  # too few points: the surface of the code
    np.savetxt(tmp_path / "thrice.xyz", np.repeat(rows, 3, axis=0))
    thrice = made(toy_checkpoint, tmp_path / "thrice.xyz", tmp_path / "out", detail="full")
    assert off(thrice.mesh).mean() < 0.01


def test_a_chair_is_no_shape_of_a_space_of_ellipsoids(toy_checkpoint, tmp_path):
    boxes = [trimesh.creation.box((1.2, 0.15, 1.2)), trimesh.creation.box((1.2, 1.5, 0.15))]
    boxes[1].apply_translation((0, 0.8, -0.55))
    for x, z in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)):
        leg = trimesh.creation.box((0.15, 1.2, 0.15))
        leg.apply_translation((x, -0.65, z))
        boxes.append(leg)
    chair = trimesh.util.concatenate(boxes)
    points, face = trimesh.sample.sample_surface(chair, 1500, seed=0)[:2]
    np.savetxt(tmp_path / "chair.xyz", np.hstack([points, chair.face_normals[face]]))
    done = made(toy_checkpoint, tmp_path / "chair.xyz", tmp_path / "out", detail="full")
    assert done.failure.startswith("FAILED") and "FAILED" in done.line()
