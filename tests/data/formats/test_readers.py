"""Readers give the file's own numbers, and refuse what trimesh would let through."""

import json

import numpy as np
import pytest
import trimesh

from shapespace.config.options import ReadOptions
from shapespace.data.formats.clouds.text import read_text
from shapespace.data.formats.ply import read_ply, write_ply
from shapespace.data.formats.polygons import triangulate
from shapespace.data.formats.readers import READERS, RawScan, checked, read_raw
from shapespace.errors import InputError
from tests.data.formats.writers import pcd

BOX = trimesh.creation.box((1.0, 2.0, 3.0))
VERTICES = np.asarray(BOX.vertices, np.float64)
FACES = np.asarray(BOX.faces, np.int64)
NORMALS = VERTICES / np.linalg.norm(VERTICES, axis=1, keepdims=True)
TETRAHEDRON = [[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def corners(scan: RawScan):
    """Triangles as a sorted list, whatever the order of vertices and faces."""
    assert scan.faces is not None
    return sorted(np.round(scan.vertices[scan.faces].reshape(-1, 9), 5).tolist())


def ply(encoding, vertices, faces=None, normals=None, kind="double", newline="\n", key="indices"):
    """A PLY file, written here so that the reader is not tested against its own kind."""
    columns = "xyz"[: vertices.shape[1]]
    rows = vertices
    names = list(columns)
    if normals is not None:
        rows, names = np.hstack([rows, normals]), names + [f"n{c}" for c in columns]
    lines = ["ply", f"format {encoding} 1.0", "comment made by a test"]
    lines += [f"element vertex {len(rows)}", *(f"property {kind} {name}" for name in names)]
    if faces is not None:
        lines += [f"element face {len(faces)}", f"property list uchar int vertex_{key}"]
    head = newline.join([*lines, "end_header", ""]).encode()
    polygons = [] if faces is None else faces
    if encoding == "ascii":
        body = [" ".join(map(repr, row)) for row in rows.tolist()]
        body += [" ".join(map(str, [len(p), *map(int, p)])) for p in polygons]
        return head + newline.join([*body, ""]).encode()
    order = "<" if "little" in encoding else ">"
    body = rows.astype(order + ("f8" if kind == "double" else "f4")).tobytes()
    for polygon in polygons:
        body += bytes([len(polygon)]) + np.asarray(polygon, order + "i4").tobytes()
    return head + body


def save(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("key", ["indices", "index"])
def test_ply_mesh(tmp_path, encoding, newline, key):
    content = ply(encoding, VERTICES, FACES, NORMALS, newline=newline, key=key)
    scan = read_raw(save(tmp_path, "a.PLY", content))
    np.testing.assert_array_equal(scan.vertices, VERTICES)
    np.testing.assert_array_equal(scan.faces, FACES)
    np.testing.assert_allclose(scan.normals, NORMALS, atol=1e-15)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_ply_polygons_become_fans(tmp_path, encoding):
    points = np.random.default_rng(0).normal(size=(6, 3))
    polygons = [[0, 1, 2], [0, 2, 3, 4], [5, 4, 3, 2, 1]]
    scan = read_raw(save(tmp_path, "a.ply", ply(encoding, points, polygons)))
    fans = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
    assert sorted(map(tuple, scan.faces.tolist())) == sorted(fans)
    quads = read_raw(save(tmp_path, "q.ply", ply(encoding, points, [[0, 1, 2, 3], [2, 3, 4, 5]])))
    assert sorted(map(tuple, quads.faces.tolist())) == [(0, 1, 2), (0, 2, 3), (2, 3, 4), (2, 4, 5)]


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("faces", [None, []])
def test_ply_clouds_keep_their_normals(tmp_path, dimension, faces):
    points = np.random.default_rng(0).normal(size=(9, dimension)).astype(np.float32)
    normals = 3 * points[::-1]
    content = ply("binary_little_endian", points, faces, normals, kind="float")
    scan = read_raw(save(tmp_path, "a.ply", content))
    assert scan.faces is None
    np.testing.assert_array_equal(scan.vertices, points)
    unit = normals / np.linalg.norm(normals.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(scan.normals, unit, atol=1e-7)


def test_ply_extra_columns_and_elements_are_stepped_over(tmp_path):
    content = (
        b"ply\nformat ascii 1.0\nelement camera 1\nproperty list uchar float view\n"
        b"element vertex 4\nproperty uchar red\nproperty float x\nproperty float y\n"
        b"property float z\nelement face 1\nproperty list uchar float uv\n"
        b"property list uchar int vertex_indices\nproperty int flag\nend_header\n"
        b"2 7 8\n255 0 0 0\n255 1 0 0\n255 0 1 0\n255 0 0 1\n1 0.5 3 0 1 2 9\n"
    )
    scan = read_raw(save(tmp_path, "a.ply", content))
    np.testing.assert_array_equal(scan.vertices, TETRAHEDRON)
    np.testing.assert_array_equal(scan.faces, [[0, 1, 2]])


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("polygons", [FACES.tolist(), [[0, 1, 2], [0, 2, 3, 4]]])
def test_ply_truncated_anywhere_is_refused(tmp_path, encoding, polygons):
    content = ply(encoding, VERTICES, polygons)
    end = len(content) - (3 if encoding == "ascii" else 1)
    for size in np.linspace(1, end, 40).astype(int):
        with pytest.raises(InputError, match=r"a\.ply"):
            read_raw(save(tmp_path, "a.ply", content[:size]))


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".stl", ".glb"])
def test_meshes_as_trimesh_writes_them(tmp_path, suffix):
    path = tmp_path / f"box{suffix}"
    BOX.export(path)
    assert corners(read_raw(path)) == corners(RawScan(VERTICES, FACES, None))


def test_ascii_stl(tmp_path):
    path = save(tmp_path, "a.stl", trimesh.exchange.stl.export_stl_ascii(BOX))
    assert corners(read_raw(path)) == corners(RawScan(VERTICES, FACES, None))
    content = path.read_text()
    with pytest.raises(InputError, match="truncated"):
        read_raw(save(tmp_path, "b.stl", content[: content.rindex("vertex")]))


def test_glb_nodes_are_moved_and_mirrors_keep_the_outside(tmp_path):
    scene = trimesh.Scene(BOX)
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = 10
    scene.add_geometry(BOX, transform=mirror)
    scene.export(tmp_path / "a.glb")
    scan = read_raw(tmp_path / "a.glb")
    assert scan.vertices[:, 0].max() == 10.5 and len(scan.faces) == 2 * len(FACES)
    mesh = trimesh.Trimesh(scan.vertices, scan.faces, process=False)
    np.testing.assert_allclose(mesh.volume, 2 * BOX.volume)


def test_glb_that_claims_too_much(tmp_path):
    tree = json.dumps({"asset": {"version": "2.0"}, "accessors": [{"count": 10**10}]}).encode()
    size = (20 + len(tree)).to_bytes(4, "little")
    content = b"glTF\2\0\0\0" + size + len(tree).to_bytes(4, "little") + b"JSON" + tree
    with pytest.raises(InputError, match="says 10000000000 items"):
        read_raw(save(tmp_path, "a.glb", content))


def test_obj_relative_indices_slashes_and_quads(tmp_path):
    lines = ["v 0 0 0", "v 1 0 0 9 9 9", "v 1 1 0", "v 0 1 0", "vn 0 0 1", "f 1//1 2//1 3//1 4//1"]
    scan = read_raw(save(tmp_path, "a.obj", "\n".join([*lines, "f -4 -3 \\\n -2", "l 1 2"])))
    np.testing.assert_array_equal(scan.faces, [[0, 1, 2], [0, 1, 2], [0, 2, 3]])
    assert scan.normals is None and scan.vertices[1].tolist() == [1, 0, 0]


def test_obj_clouds_keep_their_normals(tmp_path):
    text = "v 0 0 0\nvn 0 0 2\nv 1 0 0\nvn 0 3 0\n"
    scan = read_raw(save(tmp_path, "a.obj", text))
    np.testing.assert_array_equal(scan.normals, [[0, 0, 1], [0, 1, 0]])


def test_off_with_comments_colours_and_counts_on_the_first_line(tmp_path):
    text = "COFF 4 1 0\n# note\n" + "".join(f"{x} {y} {z} 255 0 0\n" for x, y, z in TETRAHEDRON)
    scan = read_raw(save(tmp_path, "a.off", text + "\n3 0 1 2 0.5 0.5 0.5\n"))
    np.testing.assert_array_equal(scan.vertices, TETRAHEDRON)
    np.testing.assert_array_equal(scan.faces, [[0, 1, 2]])


def test_names_for_columns_that_have_names_are_said_to_be_unused(tmp_path):
    trimesh.creation.icosphere(1).export(tmp_path / "ball.ply")
    account = read_raw(tmp_path / "ball.ply", ReadOptions("x,y,z")).account
    assert account.endswith("; --columns not used, .ply names its own")


@pytest.mark.parametrize("columns", [2, 3, 4, 6])
@pytest.mark.parametrize("suffix", [".xyz", ".txt", ".npy"])
def test_columns(tmp_path, columns, suffix):
    half = np.random.default_rng(0).normal(size=(80, columns // (2 if columns > 3 else 1)))
    unit = half / np.linalg.norm(half, axis=1, keepdims=True)
    rows = np.hstack([half, unit])[:, :columns]
    path = tmp_path / f"a{suffix}"
    np.save(path, rows) if suffix == ".npy" else np.savetxt(path, rows, "%.17g", header="x y")
    scan = read_raw(path)
    dimension = 2 if columns in (2, 4) else 3
    np.testing.assert_array_equal(scan.vertices, rows[:, :dimension])
    assert scan.faces is None and (scan.normals is None) == (columns == dimension)
    if scan.normals is not None:
        cosine = (scan.normals * rows[:, dimension:]).sum(1)
        np.testing.assert_allclose(cosine, np.linalg.norm(rows[:, dimension:], axis=1))


@pytest.mark.parametrize("key", ["points", "vertices"])
def test_npz(tmp_path, key):
    np.savez(tmp_path / "a.npz", **{key: VERTICES, "faces": FACES.astype(np.uint16)})
    scan = read_raw(tmp_path / "a.npz")
    np.testing.assert_array_equal(scan.vertices, VERTICES)
    np.testing.assert_array_equal(scan.faces, FACES)


def test_normals_are_unit_and_unknown_ones_stay_zero():
    points = np.eye(3)
    normals = np.array([[0, 0, 5.0], [0, 0, 0], [np.nan, 1, 0]])
    found = checked(points, None, normals).normals
    np.testing.assert_array_equal(found, [[0, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert checked(points, None, np.zeros((3, 3))).normals is None


def test_triangulate_drops_what_has_no_area():
    assert triangulate([[0, 1], [2]]).shape == (0, 3)
    assert triangulate([[0, 1], [2, 3, 4]]).tolist() == [[2, 3, 4]]


V, F = np.array(TETRAHEDRON), np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.fbx", "x", r"unknown suffix '.fbx'; one of .ply .obj"),
        ("a.ply", "", "empty"),
        ("a.ply", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.ply", "<html>", "not a PLY file"),
        ("a.ply", ply("ascii", V, F + 2), "face indices 2 to 5 with 4 vertices"),
        ("a.ply", ply("ascii", V, F + 1), "seem to start at 1"),
        ("a.ply", ply("binary_little_endian", V, F - 1), "face indices -1 to 2"),
        ("a.ply", ply("ascii", V, [[0, 1, 1]]), "zero area"),
        ("a.ply", ply("ascii", V + np.inf), "NaN or infinite"),
        ("a.ply", ply("ascii", V * 1e200), "beyond 1e"),
        ("a.ply", ply("ascii", V * 0), "same point"),
        ("a.ply", ply("ascii", V[:0]), "no vertices"),
        ("a.ply", ply("ascii", V).replace(b"vertex 4", b"vertex 4000000000"), "says 4000000000"),
        ("a.ply", ply("ascii", V).replace(b"vertex 4", b"vertex -4"), "says -4"),
        ("a.ply", ply("ascii", V).replace(b"double x", b"quad x"), "unknown PLY type"),
        ("a.ply", ply("ascii", V[:, :2], F), "2-D"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "OBJ indices start at 1"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "with 3 vertices"),
        ("a.obj", "v 0 0 0\nf -2 -1 1\n", "OBJ indices start at 1"),
        ("a.obj", "v 0 0\n", "three numbers"),
        ("a.obj", "ply\n", "no vertices"),
        ("a.off", "OFF\n8 4 0\n0 0 0\n", "says 8 vertices and 4 faces"),
        ("a.off", "OFF\n-1 0 0\n", "says -1 vertices"),
        ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "fewer indices"),
        ("a.off", "PLY\n", "not an OFF file"),
        ("a.stl", b"\0" * 80 + b"\xff\xff\xff\x7f" + b"\0" * 50, "says 2147483647 triangles"),
        ("a.stl", b"\0" * 84, "no vertices"),
        ("a.glb", b"glTF", "not a binary glTF"),
        ("a.xyz", "0,5 0,1 0,2\n", "decimal points"),
        ("a.xyz", "0 0 1\n0 1\n", "columns changed"),
        ("a.xyz", "0\n1\n2\n", "2 to 12 columns"),
        ("a.xyz", "0 0 1 2 -3 9\n0 1 0 9 1 2\n", "neither colours nor normals; .*--columns"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/////2 2 3\n", "corner '1/////2'"),
        ("a.xyz", "# nothing\n", "columns|no vertices"),
        ("a.npy", b"\x93NUMPY\1\0", "repair or remove"),
        ("a.npz", b"PK", "repair or remove"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    path = save(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_raw(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.ply", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_raw(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": np.array([{}])}, "allow_pickle"),
        ({"points": np.array([["1", "2", "3"]])}, "numbers are needed"),
        ({"points": VERTICES, "faces": VERTICES}, "numbers are needed"),
        ({"points": VERTICES, "faces": FACES[:, :2]}, "is needed"),
        ({"points": VERTICES, "normals": VERTICES[:4]}, "normals of shape"),
        ({"points": VERTICES[0]}, "is needed"),
        ({"sphere": VERTICES}, "no array 'points' or 'vertices'"),
        ({"points": VERTICES, "sdf": VERTICES[:, 0]}, "no scan but samples of a volume"),
        ({"points": VERTICES, "xyz": VERTICES}, "both; which is the scan?"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_raw(tmp_path / "a.npz")


def test_mutated_files_never_raise_anything_else(tmp_path):
    rng = np.random.default_rng(0)
    for suffix in READERS.keys() - {".las", ".laz", ".e57"}:
        path = tmp_path / f"a{suffix}"
        if READERS[suffix] is read_text:
            np.savetxt(path, VERTICES)
        elif suffix == ".npy":
            np.save(path, VERTICES)
        elif suffix == ".pcd":
            path.write_bytes(pcd([("x", "f4"), ("y", "f4"), ("z", "f4")], VERTICES, "binary"))
        elif suffix == ".npz":
            np.savez(path, points=VERTICES)
        else:
            BOX.export(path)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(60):
            changed = content.copy()
            at = rng.integers(len(content), size=rng.integers(1, 4))
            changed[at] = rng.integers(256, size=len(at))
            path.write_bytes(changed[: rng.integers(1, len(content) + 1)].tobytes())
            try:
                read_raw(path)
            except InputError:
                continue


@pytest.mark.parametrize("count", [0, 1, 20])
def test_written_ply_is_read_back_to_the_last_digit(tmp_path, count):
    mesh = trimesh.creation.icosphere(1)
    vertices = mesh.vertices.copy() + np.array([5e5, 4.2e6, 0.1])
    faces = np.asarray(mesh.faces, np.int64)[:count]
    write_ply(tmp_path / "far.ply", vertices, faces)
    found = read_ply((tmp_path / "far.ply").read_bytes())
    np.testing.assert_array_equal(found.vertices, vertices)
    assert count == 0 or np.array_equal(found.faces, faces)
    if count:
        np.testing.assert_array_equal(
            trimesh.load_mesh(tmp_path / "far.ply", process=False).vertices, vertices
        )
