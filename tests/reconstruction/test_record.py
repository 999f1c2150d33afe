"""A mesh is compared with its own scan: an exact one is near it, one that lost a part is not."""

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.reconstruction.record import MOST_FAR, failure, share_far, verdict
from shapespace.synthetic.bodies import body, body_mesh
from shapespace.synthetic.dataset import SUBJECTS


def prepared(mesh, scale=1.0):
    raw = checked(np.array(mesh.vertices), np.array(mesh.faces, np.int64))
    return prepare_scan(raw, "a", PointOptions(num_points=6000, scale=scale, sigma=False))


def shapes():
    person = body_mesh(body(SUBJECTS[0], "jumping_jacks", 0.5), 0.04)
    yield "person", person
    yield "box", trimesh.creation.box((1, 2, 0.5)).subdivide().subdivide().subdivide()
    yield "torus", trimesh.creation.torus(0.6, 0.2)


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_an_exact_mesh_is_near_and_one_without_a_part_is_far(unit):
    for name, mesh in shapes():
        mesh = mesh.copy()
        mesh.apply_scale(unit)
        mesh.apply_translation([unit * 7, 0, 0])
        for scale in (unit, None):
            scan = prepared(mesh, scale)
            assert share_far(mesh, scan) == 0, name
            # Moved by a hundredth of its size, as a good fit may be.
            size = np.ptp(mesh.vertices, axis=0).max()
            near = mesh.copy().apply_translation([0.01 * size, 0, 0])
            assert failure(share_far(near, scan)) == "", name
            far = mesh.copy().apply_translation([size, 0, 0])
            assert failure(share_far(far, scan)).startswith("FAILED: "), name
            middle = mesh.triangles_center[:, 1]
            top = middle > np.quantile(middle, 0.75)
            half = trimesh.Trimesh(mesh.vertices, mesh.faces[~top], process=False)
            assert share_far(half, scan) > MOST_FAR, name
            assert share_far(trimesh.Trimesh(), scan) == 1


def test_stray_points_do_not_count():
    mesh = trimesh.creation.icosphere(3)
    stray = trimesh.creation.icosphere(2, 0.3).apply_translation([20, 0, 0])
    scan = prepared(trimesh.util.concatenate([mesh, stray]))
    assert share_far(mesh, scan) == 0
    # The other way round the body is lost.
    assert share_far(stray, scan) == 1


def test_a_verdict_comes_first_and_names_its_reason():
    good = {"share_far": 0.0, "strangeness": 2.0, "outliers": 0.01}
    detail = {"confidence": 1.0, "misfit": 0.002, "unseen": 0.0}
    assert verdict(good) == verdict(good | {"detail": detail}) == verdict({}) == ""
    assert verdict(good | {"share_far": 0.5}).startswith("FAILED: 50% of the points")
    assert verdict(good | {"strangeness": 9.0}) == ""  # a space of few shapes has many good ones
    assert verdict(good | {"outliers": 0.1}).startswith("DOUBTFUL: 10% of the points")
    lost_code = verdict(good | {"outliers": 0.1, "strangeness": 9.0})
    assert lost_code.startswith("FAILED: 10% of the points") and "9.0 times" in lost_code
    bent = {"confidence": 0.5, "misfit": 0.004, "unseen": 0.002}
    lost = {"confidence": 0.0, "misfit": 0.02, "unseen": 0.002}
    # the code may be strange where the bent shape is right
    off = {"strangeness": 9.0, "outliers": 0.1}
    assert verdict(good | off | {"detail": detail}) == ""
    assert verdict(good | {"detail": bent}).startswith(
        "DOUBTFUL: bent shapes of the space end 0.6%"
    )
    assert verdict(good | {"detail": lost}).startswith("FAILED: the space has no such shape")
