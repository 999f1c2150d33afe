"""NPZ and NPY: all arrays of a file say what it is."""

import io
from dataclasses import replace

import numpy as np
import pytest

from shapespace.data.formats.clouds.arrays import read_npy, read_npz
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.errors import InputError
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(200)
FACES = np.arange(198).reshape(66, 3)
OTHER = np.arange(200)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


LAYOUTS = [
    ({"points": POINTS}, "read x y z"),
    ({"points": POINTS, "normals": NORMALS}, "read x y z, normals"),
    ({"vertices": POINTS, "faces": FACES}, "read x y z, faces"),
    ({"Vertices": POINTS, "Triangles": FACES.astype("u2")}, "read x y z, faces"),
    ({"verts": POINTS, "normals": NORMALS, "faces": FACES},
     "read x y z, faces; not used: normals of vertices"),
    ({"xyz": POINTS.astype("f2"), "rgb": OTHER}, "read x y z; not used: array rgb"),
    ({"arr_0": POINTS}, "read x y z"),
    ({"arr_0": np.hstack([POINTS, NORMALS])}, "read x y z, normals (columns 4 to 6)"),
    ({"points": np.hstack([POINTS, NORMALS]), "label": OTHER},
     "read x y z, normals (columns 4 to 6), not used: array label"),
    ({"points": POINTS, "normals": NORMALS, "loc": np.zeros(3), "scale": np.float64(2)},
     "read x y z, normals; not used: array loc scale (the points stay in the frame of the file)"),
    ({"vertices": POINTS, "faces": FACES, "sdf": OTHER}, "read x y z, faces; not used: array sdf"),
    ({"pos": POINTS}, "read x y z"),
    ({"points": POINTS[:, :2]}, "read x y (2-D)"),
]  # fmt: skip
SAMPLES = [
    {"points": POINTS, "occupancies": OTHER},
    {"points": POINTS, "sdf": OTHER},
    {"points": POINTS, "SDF_values": OTHER},
    {"points": POINTS, "occupancy": OTHER, "normals": NORMALS},
    {"points": POINTS, "udf": OTHER},
]
NOTHING = [
    {"a": POINTS},
    {"arr_0": POINTS, "arr_1": NORMALS},
    {"points": POINTS, "vertices": POINTS},
]


def test_layouts():
    for arrays, account in LAYOUTS:
        found = read_npz(npz(**arrays))
        assert found.account() == account.replace(", not used", "; not used")
        flat = found.vertices.shape[1] == 2
        np.testing.assert_allclose(found.vertices, POINTS[:, :2] if flat else POINTS, atol=1e-3)
        if found.normals is not None:
            np.testing.assert_array_equal(found.normals, NORMALS)
        if found.faces is not None:
            np.testing.assert_array_equal(found.faces, FACES)


def test_samples_of_a_volume_are_no_scan():
    for arrays in SAMPLES:
        with pytest.raises(InputError, match=r"no scan but samples of a volume .*give the mesh"):
            read_npz(npz(**arrays))
    for arrays in NOTHING:
        with pytest.raises(ValueError, match=r"no array 'points'|which is the scan"):
            read_npz(npz(**arrays))


def test_arrays_with_fields_and_of_any_type():
    kinds = ["<f4", ">f8", "<f8", ">f4"]
    for kind in kinds:
        rows = np.hstack([POINTS, NORMALS]).astype(kind)
        found = read_npy(npy(rows))
        np.testing.assert_array_equal(found.vertices, rows[:, :3].astype(float))
        np.testing.assert_array_equal(found.normals, rows[:, 3:].astype(float))
        names = ["Red", "normal_z", "normal_y", "normal_x", "z", "y", "x"]
        table = np.zeros(200, [(name, kind) for name in names])
        for name, column in zip(names[1:], rows.T[::-1], strict=True):
            table[name] = column
        found = read_npy(npy(table))
        np.testing.assert_array_equal(found.vertices, rows[:, :3].astype(float))
        np.testing.assert_array_equal(found.normals, rows[:, 3:].astype(float))
        assert found.unused == ("Red",)
    chosen = ("_", "y", "x", "z")
    found = read_npy(npy(np.hstack([POINTS[:, :1], POINTS])), chosen)
    np.testing.assert_array_equal(found.vertices, POINTS[:, [1, 0, 2]])
    for array in (POINTS.T, POINTS[None], np.array(["a"]), np.zeros(3, [("x", "f4", (2,))])):
        with pytest.raises(ValueError, match="array"):
            read_npy(npy(array))


def test_samples_of_deepsdf_are_targets_and_their_crossings_the_surface():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 3))
    points *= ((0.5 + 0.02 * rng.normal(size=20_000)) / np.linalg.norm(points, axis=1))[:, None]
    samples = np.c_[points, np.linalg.norm(points, axis=1) - 0.5].astype("f4")
    samples = np.concatenate([samples, np.full((3, 4), np.nan, "f4")])
    outside = samples[:, 3] > 0
    found = read_npz(npz(pos=samples[outside], neg=samples[~outside]))
    assert "samples pos neg of DeepSDF" in found.account() and "3 samples, NaN" in found.account()
    assert len(found.samples) == 20_000 and len(found.vertices) > 4000
    assert np.abs(np.linalg.norm(found.vertices, axis=1) - 0.5).max() < 2e-3
    raw = checked(found.vertices)
    options = PointOptions(scale=2.0, sigma=False)
    scan = prepare_scan(replace(raw, samples=found.samples), "a", options)
    assert scan.targets.signed and len(scan.targets.points) == 20_000
    exact = np.linalg.norm(scan.frame.to_source(scan.targets.points), axis=1) - 0.5
    np.testing.assert_allclose(2 * scan.targets.distance, exact, atol=1e-5)
    some = prepare_scan(replace(raw, samples=found.samples), "a", replace(options, num_targets=70))
    assert len(some.targets.points) == 70


def test_odd_samples_of_deepsdf_are_refused():
    good = np.ones((5, 4))
    for pos, neg, fault in (
        (good[:, :3], -good, "rows of x y z d"),
        (good[:0], -good, "none inside; both are needed"),
        (-good, -good, "'pos' holds a negative distance"),
    ):
        with pytest.raises(ValueError, match=fault):
            read_npz(npz(pos=pos, neg=neg))
