"""OBJ, OFF, STL and GLB as many programs write them, and what is said of the rest."""

import io
import itertools
import json
import struct

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.glb import read_glb
from shapespace.data.formats.obj import read_obj
from shapespace.data.formats.off import read_off
from shapespace.data.formats.stl import read_stl
from shapespace.errors import InputError

BALL = trimesh.creation.icosphere(1)
V, F = np.asarray(BALL.vertices), np.asarray(BALL.faces)
ROWS = [" ".join(map(repr, row)) for row in V.tolist()]


def off(head, more="", end="\n", face_more="", tail=()):
    faces = ["3 " + " ".join(map(str, row)) + face_more for row in F.tolist()]
    return end.join([*head, *(row + more for row in ROWS), *faces, *tail, ""]).encode()


COUNTS = f"{len(V)} {len(F)} 0"


def test_off_headers():
    heads = [["OFF", COUNTS], [f"OFF {COUNTS}"], [f"OFF{COUNTS}"], ["OFF", "# note", "", COUNTS],
             ["OFF # a", COUNTS], [f"OFF {len(V)} {len(F)}"], ["  OFF", f"  {COUNTS}"]]  # fmt: skip
    for head, end in itertools.product(heads, ["\n", "\r\n"]):
        found = read_off(off(head, end=end))
        np.testing.assert_array_equal(found.vertices, V)
        np.testing.assert_array_equal(found.faces, F)
        assert found.account() == "read x y z, faces"
    for word, more in [("COFF", " 1 2 3 255"), ("STOFF", " 0.5 0.5"), ("OFF", " 9")]:
        count = len(more.split())
        found = read_off(off([f"{word}{COUNTS}"], more, face_more=" 255 0 0", tail=["1 2"]))
        np.testing.assert_array_equal(found.vertices, V)
        assert found.unused == (
            f"{count} more numbers of the vertices (colours)",
            "colours of the faces",
            "1 rows after the last face",
        )
    found = read_off(off([f"CNOFF{COUNTS}"], " 0 0 2 255 0 0"))
    assert found.normals.tolist() == [[0, 0, 2]] * len(V)
    assert found.unused == ("3 more numbers of the vertices (colours)",)
    for head in (["OFF BINARY", COUNTS], [f"4OFF{COUNTS}"], ["nOFF 3", COUNTS], ["OFFSET", COUNTS],
                 ["OFF", "many 3"], ["OFF", "3"], ["OFF"]):  # fmt: skip
        with pytest.raises(ValueError, match="OFF"):
            read_off(off(head))


def test_obj_corners_and_what_else_is_in_it():
    forms = ["{0}", "{0}/{0}", "{0}//{0}", "{0}/{0}/{0}", "-{1}", "{0}/", "{0}//"]
    for form in forms:
        faces = ["f " + " ".join(form.format(i + 1, len(V) - i) for i in row) for row in F.tolist()]
        content = "\n".join([*(f"v {row} 0.5 0.5 0.5" for row in ROWS), "vn 0 0 1", "vt 0 0",
                             "o part", "usemtl red", "l 1 2", *faces])  # fmt: skip
        found = read_obj(content.encode())
        np.testing.assert_array_equal(found.vertices, V)
        np.testing.assert_array_equal(found.faces, F)
        assert found.account() == "read x y z, faces; not used: r g b l vn"
    for corner in ("1/////2", "1/2/3/4", "a", "1/a", "1//b", "/1", "1.5", ""):
        content = "\n".join(["v 0 0 0", "v 1 0 0", "v 0 1 0", f"f {corner}/ 2 3"])
        with pytest.raises(ValueError, match=r"corner|index"):
            read_obj(content.encode())
    nan = read_obj(b"v 0 0 0\nv 1 -nan(ind) 0\nv 0 1 0\nv 1 1 1\nf 1 3 4\n")
    assert np.isnan(nan.vertices).sum() == 1


def test_stl_says_what_it_leaves():
    content = bytearray(BALL.export(file_type="stl"))
    assert read_stl(bytes(content)).account() == "read x y z, faces"
    content[84 + 48] = 7
    found = read_stl(bytes(content) + b"more")
    assert found.unused == ("attributes (colours)", "4 bytes after the last triangle")
    assert len(found.faces) == len(F)


def glb(tree, data=b""):
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = struct.pack("<I", len(text)) + b"JSON" + text
    chunks += struct.pack("<I", len(data)) + b"BIN\0" + data
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def tree_of(content):
    size = int.from_bytes(content[12:16], "little")
    return json.loads(content[20 : 20 + size]), content[28 + size :]


def scene(*parts):
    """A GLB of parts beside each other, as trimesh writes it: its JSON and its data."""
    made = trimesh.Scene()
    for i, part in enumerate(parts):
        made.add_geometry(part, transform=trimesh.transformations.translation_matrix([3 * i, 0, 0]))
    return tree_of(made.export(file_type="glb"))


def test_glb_extensions_are_refused_by_name_and_whole():
    names = ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression",
             "KHR_mesh_quantization", "EXT_mesh_gpu_instancing"]  # fmt: skip
    for name in names:
        for place in ("required", "primitive", "view", "node"):
            tree, data = scene(BALL, BALL.copy())
            part = {
                "primitive": tree["meshes"][1]["primitives"][0],
                "view": tree["bufferViews"][0],
                "node": next(node for node in tree["nodes"] if "mesh" in node),
            }.get(place)
            if part is None:
                tree["extensionsRequired"] = [name]
            else:
                part["extensions"] = {name: {}}
            with pytest.raises(InputError, match=f"uses {name}"):
                read_glb(glb(tree, data))
    tree, data = scene(BALL)
    tree["extensionsRequired"] = ["ACME_folded_space"]
    with pytest.raises(InputError, match="uses ACME_folded_space"):
        read_glb(glb(tree, data))
    tree["extensionsRequired"] = ["KHR_materials_unlit", "KHR_texture_transform"]
    tree["meshes"][0]["primitives"][0]["extensions"] = {"KHR_materials_variants": {}}
    assert len(read_glb(glb(tree, data)).faces) == len(F)
    position = tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    for change, name in (({"componentType": 5123}, "KHR_mesh_quantization"),
                         ({"sparse": {"count": 1}}, "sparse accessors")):  # fmt: skip
        changed = json.loads(json.dumps(tree))
        changed["accessors"][position] |= change
        with pytest.raises(InputError, match=f"uses {name}"):
            read_glb(glb(changed, data))


def test_glb_counts_meshes_and_names_the_rest():
    points = trimesh.PointCloud(V + 9)
    lines = trimesh.load_path(np.array([[[0, 0, 0], [1, 1, 1.0]]]))
    tree, data = scene(BALL)
    assert read_glb(glb(tree, data)).account() == "read x y z, faces"
    tree, data = scene(BALL, BALL.copy())
    found = read_glb(glb(tree, data))
    assert found.account() == "read x y z, faces, 2 meshes" and len(found.faces) == 2 * len(F)
    for node in tree["nodes"]:
        if node.get("mesh") == 1:
            del node["mesh"]
    assert read_glb(glb(tree, data)).account() == "read x y z, faces, 1 of 2 meshes"
    found = read_glb(glb(*scene(BALL, points, lines)))
    np.testing.assert_allclose(found.vertices, V, atol=1e-6)
    assert found.account().startswith("read x y z, faces, 1 of 3 meshes; not used: ")
    assert "points" in found.account() and "lines" in found.account()
    found = read_glb(glb(*scene(points)))
    assert found.faces is None and len(found.vertices) == len(V)
    coloured = BALL.copy()
    coloured.visual.vertex_colors = np.full((len(V), 4), 90, np.uint8)
    _ = coloured.vertex_normals
    file = io.BytesIO(coloured.export(file_type="glb", include_normals=True))
    account = read_glb(file.getvalue()).account()
    assert "NORMAL" in account and "COLOR_0" in account
