"""The same 2 000 points with normals, written by other programs in every format that they know."""

import io

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import read_raw
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(2000)
SINGLE = POINTS.astype("f4").astype(float)


def check(path, normals=True, atol=0.0, said=None):
    """A cloud is read with its points and normals, and nothing of it is unsaid."""
    scan = read_raw(path)
    np.testing.assert_allclose(scan.vertices, POINTS, atol=atol)
    assert scan.faces is None and (scan.normals is not None) == normals, path
    if normals:
        np.testing.assert_allclose(scan.normals, NORMALS, atol=max(atol, 1e-15))
    want = f"read x y z{', normals' if normals else ''}"
    assert scan.account.startswith(want), scan.account
    assert ("; " in scan.account) == (said is not None), scan.account
    assert said is None or said in scan.account


def test_numpy(tmp_path):
    rows = np.hstack([POINTS, NORMALS])
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "b.npy", np.asfortranarray(rows))
    np.savez(tmp_path / "a.npz", points=POINTS, normals=NORMALS)
    np.savez_compressed(tmp_path / "b.npz", vertices=POINTS, normals=NORMALS)
    np.savez(tmp_path / "c.npz", rows)
    names = ["x", "y", "z", "nx", "ny", "nz"]
    table = np.rec.fromarrays(rows.T, names=names)
    np.save(tmp_path / "c.npy", table)
    for name, options in {
        "a.xyz": {}, "a.txt": {"fmt": "%.17g"}, "b.txt": {"header": " ".join(names)},
        "a.csv": {"delimiter": ",", "header": ",".join(names), "comments": ""},
        "b.csv": {"delimiter": ";", "newline": "\r\n"}, "a.asc": {"delimiter": "\t"},
        "a.pts": {"header": "2000", "comments": "", "fmt": "%.17g"},
    }.items():  # fmt: skip
        np.savetxt(tmp_path / name, rows, **options)
    for path in sorted(tmp_path.iterdir()):
        check(path)
    np.savetxt(tmp_path / "p.xyz", POINTS)
    check(tmp_path / "p.xyz", normals=False)


def test_trimesh(tmp_path):
    cloud = trimesh.PointCloud(POINTS)
    for suffix, atol in ((".ply", 1e-7), (".xyz", 1e-7), (".glb", 1e-7), (".obj", 1e-7)):
        try:
            cloud.export(tmp_path / f"a{suffix}")
        except (ValueError, KeyError, AttributeError):
            continue  # trimesh writes no clouds in this format
        check(tmp_path / f"a{suffix}", normals=False, atol=atol)
    assert len(list(tmp_path.iterdir())) >= 2
    # A mesh: its own faces come back, whatever the format.
    mesh = trimesh.creation.icosphere(3)
    mesh.vertices = mesh.vertices * [1.0, 0.7, 1.3]
    want = np.sort(mesh.triangles.reshape(-1, 9).round(5), axis=0)
    for suffix in (".ply", ".obj", ".off", ".stl", ".glb"):
        mesh.export(tmp_path / f"m{suffix}")
        scan = read_raw(tmp_path / f"m{suffix}")
        found = np.sort(scan.vertices[scan.faces].reshape(-1, 9).round(5), axis=0)
        np.testing.assert_allclose(found, want, atol=3e-5)
        assert scan.account.startswith("read x y z, faces")


def test_plyfile(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    for i, names in enumerate((("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))):
        columns = ["x", "y", "z", *names]
        for kind in ("f8", "f4"):
            table = np.zeros(2000, [(name, kind) for name in columns])
            for name, column in zip(columns, np.hstack([POINTS, NORMALS]).T, strict=True):
                table[name] = column
            element = plyfile.PlyElement.describe(table, "vertex")
            for text, order in ((True, "="), (False, "<"), (False, ">")):
                path = tmp_path / f"{i}{kind}{text}{ord(order)}.ply"
                plyfile.PlyData([element], text=text, byte_order=order).write(str(path))
                check(path, atol=0.0 if kind == "f8" and not text else 1e-6)
    assert len(list(tmp_path.iterdir())) == 12


def test_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.hstack([POINTS, NORMALS]), columns="x y z nx ny nz".split())
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.txt", sep=" ", index=False)
    frame.to_csv(tmp_path / "c.csv", sep=";", decimal=",", index=False)
    frame.to_csv(tmp_path / "d.xyz", sep="\t", header=False, index=False)
    frame.to_csv(tmp_path / "e.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    frame.rename(columns=str.upper).to_csv(tmp_path / "f.csv", index=False, quoting=1)
    (tmp_path / "g.npy").write_bytes(_npy(frame.to_records(index=False)))
    for path in sorted(tmp_path.iterdir()):
        check(path, atol=1e-15)
    frame.to_csv(tmp_path / "h.csv")
    check(tmp_path / "h.csv", atol=1e-15, said="not used: a column without a name")
    frame.to_csv(tmp_path / "i.csv", header=False)
    check(tmp_path / "i.csv", atol=1e-15, said="not used: row number (column 1)")
    frame.assign(label=7, time=0.5).to_csv(tmp_path / "j.csv", index=False)
    check(tmp_path / "j.csv", atol=1e-15, said="not used: label time")


def _npy(records):
    file = io.BytesIO()
    np.save(file, np.asarray(records))
    return file.getvalue()


def test_laspy(tmp_path):
    laspy = pytest.importorskip("laspy")
    names = ("nx", "ny", "nz")
    for version, kind in (("1.2", 0), ("1.2", 3), ("1.4", 6), ("1.4", 7)):
        header = laspy.LasHeader(point_format=kind, version=version)
        header.scales, header.offsets = np.full(3, 1e-9), POINTS.mean(axis=0)
        for name in names:
            header.add_extra_dim(laspy.ExtraBytesParams(name, np.float64))
        data = laspy.LasData(header)
        data.x, data.y, data.z = POINTS.T
        for name, column in zip(names, NORMALS.T, strict=True):
            data[name] = column
        data.write(tmp_path / f"{kind}.las")
        check(tmp_path / f"{kind}.las", atol=1e-9)
        if laspy.LazBackend.detect_available():
            data.write(tmp_path / f"{kind}.laz", do_compress=True)
            check(tmp_path / f"{kind}.laz", atol=1e-9)


def test_open3d(tmp_path):
    open3d = pytest.importorskip("open3d")
    cloud = open3d.geometry.PointCloud()
    cloud.points = open3d.utility.Vector3dVector(POINTS)
    for suffix in (".xyz", ".pts", ".ply", ".pcd"):
        for text, packed in ((True, False), (False, False), (False, True)):
            path = tmp_path / f"p{text}{packed}{suffix}"
            assert open3d.io.write_point_cloud(
                str(path), cloud, write_ascii=text, compressed=packed
            )
            check(path, normals=False, atol=1e-5)
    cloud.normals = open3d.utility.Vector3dVector(NORMALS)
    for suffix in (".xyzn", ".ply", ".pcd"):
        for text, packed in ((True, False), (False, False), (False, True)):
            path = tmp_path / f"n{text}{packed}{suffix}"
            assert open3d.io.write_point_cloud(
                str(path), cloud, write_ascii=text, compressed=packed
            )
            check(path, atol=1e-5)
    cloud.normals = open3d.utility.Vector3dVector()
    cloud.colors = open3d.utility.Vector3dVector(np.random.default_rng(0).uniform(size=(2000, 3)))
    for suffix, said in ((".xyzrgb", "r g b"), (".ply", "red green blue"), (".pcd", "rgb"),
                         (".pts", "columns 4 to 7")):  # fmt: skip
        path = tmp_path / f"c{suffix}"
        assert open3d.io.write_point_cloud(str(path), cloud, write_ascii=True)
        check(path, normals=False, atol=1e-5, said=f"not used: {said}")
