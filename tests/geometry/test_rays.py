import numpy as np
import pytest

from shapespace.errors import InputError
from shapespace.geometry.rays import RayScene

pytest.importorskip("embreex", reason="rays are cast by embreex")
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1], [1, 0, -1], [0, 1, -1]], float)
FACES = np.array([[0, 1, 2], [3, 4, 5]])


def test_first_hit_and_occlusion():
    scene = RayScene(VERTICES, FACES)
    origins = np.array([[0.2, 0.2, 1], [0.9, 0.9, 1], [0.2, 0.2, -0.5], [0.2, 0.2, -2]])
    down = np.tile([0.0, 0.0, -1.0], (4, 1))
    assert scene.first(origins, down).tolist() == [0, -1, 1, -1]
    assert scene.occluded(origins, down).tolist() == [True, False, True, False]


def test_nothing_to_hit_and_no_rays():
    rays = np.zeros((3, 3)), np.ones((3, 3))
    empty = RayScene(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert empty.first(*rays).tolist() == [-1] * 3 and not empty.occluded(*rays).any()
    none = np.zeros((0, 3))
    assert len(RayScene(VERTICES, FACES).first(none, none)) == 0


def test_missing_embreex_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "embreex.mesh_construction", None)
    with pytest.raises(InputError, match=r"shapespace\[report\]"):
        RayScene(VERTICES, FACES)
