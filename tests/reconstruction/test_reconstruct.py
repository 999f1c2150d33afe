"""From scan files to meshes in the frame of the scans, through a space of four ellipsoids."""

import json

import numpy as np
import pytest
import trimesh

from shapespace.config.options import FitOptions, MeshOptions, WalkOptions
from shapespace.data.sources import collect_sources, find_sources
from shapespace.errors import InputError
from shapespace.fitting import Search
from shapespace.reconstruction.export import mesh_names, write_mesh
from shapespace.reconstruction.inputs import likely_unit
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.record import remark, share_without_points
from shapespace.reconstruction.walks.interpolate import interpolate_shapes
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace
from tests.conftest import ellipsoid

SHIFT = np.array([100.0, -200.0, 50.0])
QUICK = {"fit": FitOptions(num_points=64, detail="none"), "meshing": MeshOptions(resolution=20)}
PUBLISHED = {**QUICK, "fit": FitOptions("adam-published", num_points=64, steps=4)}


def write_cloud(path, unit=1.0, shift=SHIFT, count=300):
    """A unit sphere in a source frame of its own: (x + shift) * unit."""
    directions = np.random.default_rng(count).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, points=(directions + shift) * unit, normals=directions)
    return path


def load(path):
    return trimesh.load_mesh(path, process=False)


@pytest.mark.parametrize("options", [QUICK, PUBLISHED])
@pytest.mark.parametrize(("unit", "per_metre"), [("m", 1.0), ("mm", 1000.0)])
def test_everything_is_written_in_the_frame_of_the_scan(
    unit, per_metre, options, toy_checkpoint, tmp_path
):
    scan, out = write_cloud(tmp_path / "a.npz", per_metre), tmp_path / "out"
    before = toy_checkpoint.read_bytes()
    options = {**options, "meshing": MeshOptions(resolution=20, unit=unit)}
    result = reconstruct_files(toy_checkpoint, find_sources(scan), out, **options)
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.npy", "a.ply"]
    assert toy_checkpoint.read_bytes() == before
    (done,) = result.done
    mesh = load(out / "a.ply")
    assert mesh.volume > 0
    centre = np.load(scan)["points"].mean(0)
    np.testing.assert_allclose(mesh.bounds.mean(0), centre, atol=0.3 * per_metre)
    radius = np.linalg.norm(mesh.vertices - centre, axis=1) / per_metre
    assert radius.min() > 0.6 and radius.max() < 1.6
    np.testing.assert_array_equal(np.load(out / "a.npy"), done.code.numpy())
    facts = json.loads((out / "a.json").read_text())
    assert facts["terms"] == done.terms and facts["made_by"]["method"] == options["fit"].method
    assert (facts["steps"] == 4) == (options["fit"] is PUBLISHED["fit"])
    assert facts["off_unit"] == "mm" and 0 <= facts["off_median"] <= facts["off_95_percent"] < 500
    assert facts["scale"] == per_metre and len(facts["scan_sha256"]) == 64
    np.testing.assert_allclose(facts["centre"], centre)
    assert facts["faces"] == len(mesh.faces)
    line = result.lines()[0]
    # A space that was trained for two epochs is far off, and the line says so first.
    assert line.startswith(f"{out / 'a.ply'}: FAILED: ") and f"; {len(mesh.faces)} faces, " in line
    assert facts["verdict"] == done.verdict == done.failure


def test_what_of_a_file_is_not_used_is_said_once(toy_checkpoint, tmp_path):
    points = np.load(write_cloud(tmp_path / "a.npz"))["points"]
    for name in ("a", "b"):
        np.savetxt(tmp_path / f"{name}.xyz", np.hstack([points, 3 * points]))
    sources = [*find_sources(tmp_path / "a.xyz"), *find_sources(tmp_path / "b.xyz")]
    with pytest.raises(InputError, match="--columns"):
        reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **QUICK)
    meshing = MeshOptions(resolution=16, columns="x,y,z,u,v,w")
    named = {**QUICK, "meshing": meshing}
    first = reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **named)
    assert all("; read x y z; not used: u v w" in line for line in first.lines())
    again = reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **named)
    assert again.kept == ["a", "b"]


def test_batches_change_nothing_but_the_cost(toy_checkpoint, tmp_path):
    for name, count in (("a", 300), ("b", 301), ("c", 302)):
        write_cloud(tmp_path / "in" / f"{name}.npz", count=count)
    sources = collect_sources([tmp_path / "in"])
    codes = {
        batch: [
            item.code
            for item in reconstruct_files(
                toy_checkpoint,
                sources,
                tmp_path / "out",
                fit=QUICK["fit"],
                meshing=MeshOptions(resolution=20, batch=batch),
            ).done
        ]
        for batch in (1, 2)
    }
    for alone, together in zip(codes[1], codes[2], strict=True):
        np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_bad_scan_is_skipped_and_listed(toy_checkpoint, tmp_path):
    write_cloud(tmp_path / "in" / "good.npz")
    (tmp_path / "in" / "bad.ply").write_bytes(b"not a ply")
    sources, out = collect_sources([tmp_path / "in"]), tmp_path / "out"
    result = reconstruct_files(toy_checkpoint, sources, out, **QUICK)
    assert [item.name for item in result.done] == ["good"]
    ((name, reason),) = result.skipped
    assert name == "bad" and "bad.ply" in reason
    assert result.lines()[-1] == f"skipped bad: {reason}"
    with pytest.raises(InputError, match=r"bad\.ply"):
        reconstruct_files(toy_checkpoint, sources, tmp_path / "none", strict=True, **QUICK)
    assert list(tmp_path.glob("none/*")) == []


def test_nothing_but_bad_scans_is_an_error(toy_checkpoint, tmp_path):
    (tmp_path / "bad.ply").write_bytes(b"not a ply")
    with pytest.raises(InputError, match=r"bad\.ply"):
        reconstruct_files(toy_checkpoint, find_sources(tmp_path), tmp_path / "out", **QUICK)


def test_a_scan_of_another_dimension(toy_checkpoint, tmp_path):
    np.save(tmp_path / "flat.npy", np.random.default_rng(0).normal(size=(99, 2)))
    sources = find_sources(tmp_path / "flat.npy")
    with pytest.raises(InputError, match=r"flat\.npy: has dimension 2, the space 3"):
        reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **QUICK)


@pytest.mark.parametrize("option", [{"batch": 0}, {"resolution": 1}, {"cell": 0.0}])
def test_a_number_that_is_too_small(option):
    with pytest.raises(InputError, match=f"{next(iter(option))}="):
        MeshOptions(**option)


@pytest.mark.parametrize("option", [{"steps": 0}, {"steps": -1}, {"num_points": 0}, {"seed": -1}])
def test_a_fit_with_a_number_that_is_too_small(option):
    with pytest.raises(InputError, match=f"{next(iter(option))}="):
        FitOptions(**option)


def test_what_was_done_is_kept_unless_something_changed(toy_checkpoint, tmp_path):
    for name in "ab":
        write_cloud(tmp_path / "in" / f"{name}.npz")
    sources, out = collect_sources([tmp_path / "in"]), tmp_path / "out"

    def written(**options):
        before = {path: path.stat().st_mtime_ns for path in out.glob("*.ply")}
        result = reconstruct_files(toy_checkpoint, sources, out, **{**QUICK, **options})
        assert [item.name for item in result.done] == ["a", "b"]
        new = {p.stem for p in out.glob("*.ply") if p.stat().st_mtime_ns != before.get(p)}
        assert new == {"a", "b"} - set(result.kept)
        return "".join(sorted(new))

    assert written() == "ab"
    assert written() == ""
    (out / "a.json").write_text("{ cut")
    assert written() == "a"
    write_cloud(tmp_path / "in" / "b.npz", shift=2 * SHIFT)
    assert written() == "b"
    coarse = MeshOptions(resolution=16)
    assert written(meshing=coarse) == "ab"
    assert written(meshing=coarse, again=True) == "ab"
    assert written(meshing=coarse, fit=FitOptions(num_points=65, detail="none")) == "ab"


def test_two_scans_of_one_name(tmp_path):
    paths = [write_cloud(tmp_path / folder / "a.npz") for folder in "xy"]
    with pytest.raises(InputError, match="2 scans are called 'a'"):
        collect_sources(paths)


def test_meshes_of_training_scans_lie_where_these_were(toy_checkpoint, tmp_path):
    paths = mesh_names(toy_checkpoint, ["ball", "melon"], tmp_path / "out", 20)
    assert [path.name for path in paths] == ["ball.ply", "melon.ply"]
    for path, centre in zip(paths, (0.0, 3.0), strict=True):
        np.testing.assert_allclose(load(path).bounds.mean(0), centre, atol=0.3)


def test_a_cell_takes_the_place_of_the_resolution(toy_checkpoint, tmp_path):
    (path,) = mesh_names(toy_checkpoint, ["ball"], tmp_path, cell=0.1)
    assert 0.06 < np.median(load(path).edges_unique_length) < 0.12
    with pytest.raises(InputError, match="cell=0"):
        mesh_names(toy_checkpoint, ["ball"], tmp_path, cell=0.0)
    with pytest.raises(InputError, match="take larger cells"):
        mesh_names(toy_checkpoint, ["ball"], tmp_path, cell=1e-7)


def test_interpolation_ends_are_the_shapes(toy_checkpoint, tmp_path):
    pytest.importorskip("embreex")
    out, ends = tmp_path / "out", tmp_path / "ends"
    paths = interpolate_shapes(toy_checkpoint, ["ball", "egg"], out, WalkOptions(3, 20))
    assert [path.name for path in paths] == [
        "000.ply",
        "001.ply",
        "002.ply",
        "strip.png",
        "walk.json",
    ]
    assert paths[-2].read_bytes().startswith(b"\x89PNG")
    shapes = mesh_names(toy_checkpoint, ["ball", "egg"], ends, 20)
    for path, shape in zip(paths[:3:2], shapes, strict=True):
        np.testing.assert_array_equal(load(path).vertices, load(shape).vertices)


def test_interpolation_from_a_scan_file(toy_checkpoint, tmp_path):
    pytest.importorskip("embreex")
    scan = write_cloud(tmp_path / "a.npz")
    shapes = [str(scan), "egg", "ball"]
    paths = interpolate_shapes(toy_checkpoint, shapes, tmp_path / "out", WalkOptions(2, 20))
    assert len(paths) == 5
    fit = FitOptions(detail="none")
    found = reconstruct_files(
        toy_checkpoint, find_sources(scan), tmp_path / "out2", fit, QUICK["meshing"]
    )
    np.testing.assert_allclose(
        load(paths[0]).vertices, load(found.done[0].path).vertices, atol=1e-4
    )


@pytest.mark.parametrize(("shapes", "steps"), [(["ball"], 3), (["ball", "egg"], 1)])
def test_too_short_an_interpolation(shapes, steps, toy_checkpoint, tmp_path):
    with pytest.raises(InputError, match="give at least two of each"):
        interpolate_shapes(toy_checkpoint, shapes, tmp_path / "out", WalkOptions(steps))
    assert not (tmp_path / "out").exists()


def test_remarks():
    box = trimesh.creation.box()
    opened = trimesh.Trimesh(box.vertices, box.faces[1:], process=False)
    assert remark(box) == "12 faces, watertight"
    assert remark(opened) == "11 faces, NOT watertight"
    assert remark(trimesh.Trimesh()).startswith("EMPTY (")


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".off", ".stl", ".glb", ".PLY"])
def test_meshes_are_written_in_the_format_of_the_suffix(suffix, tmp_path):
    box = trimesh.creation.box()
    path = write_mesh(box, tmp_path / f"box{suffix}")
    loaded = trimesh.load_mesh(path)
    assert loaded.volume == pytest.approx(1.0)
    assert list(tmp_path.iterdir()) == [path]


def test_a_space_is_the_same_whatever_it_is_used_for(toy_checkpoint, tmp_path):
    space = TrainedSpace.load(toy_checkpoint)
    weights = [weight.clone() for weight in space.decoder.parameters()]
    sources = find_sources(write_cloud(tmp_path / "a.npz"))
    raw, _ = sources[0].load()
    assert raw.normals is not None
    space.mesh(space.code("egg"), space.frame("egg"), 16)
    for before, after in zip(weights, space.decoder.parameters(), strict=True):
        assert (before == after).all() and not after.requires_grad and after.grad is None


def test_mesh_far_from_the_origin_keeps_its_shape(tmp_path):
    far = trimesh.creation.icosphere(3)
    far.vertices += [5e5, 4.2e6, 0]
    again = trimesh.load_mesh(write_mesh(far, tmp_path / "far.ply"), process=False)
    np.testing.assert_allclose(again.vertices, far.vertices, rtol=0, atol=1e-9)


def test_scan_in_another_unit_is_refused_with_the_remedy(tmp_path, toy_checkpoint):
    points, normals = ellipsoid((1000.0, 900.0, 1100.0))
    trimesh.Trimesh(points, vertex_normals=normals, process=False).export(tmp_path / "mm.ply")
    with pytest.raises(InputError, match=r"mm\.ply: reaches to .*--unit mm"):
        reconstruct_files(
            toy_checkpoint,
            collect_sources([tmp_path / "mm.ply"]),
            tmp_path / "out",
            meshing=MeshOptions(unit="m"),
        )


@pytest.mark.parametrize(("unit", "per_metre"), [("mm", 1000.0), ("cm", 100.0), ("in", 1 / 0.0254)])
def test_the_unit_of_a_scan_is_seen_from_its_size_and_named(
    unit, per_metre, toy_checkpoint, tmp_path
):
    sources = find_sources(write_cloud(tmp_path / "a.npz", per_metre))
    result = reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **QUICK)
    (done,) = result.done
    assert done.facts["unit"] == unit and f"read as {unit}" in result.lines()[0]
    options = {**QUICK, "meshing": MeshOptions(resolution=20, unit=unit)}
    given = reconstruct_files(toy_checkpoint, sources, tmp_path / "b", **options)
    np.testing.assert_array_equal(done.code, given.done[0].code)
    assert "read as" not in given.lines()[0]


def test_a_scan_of_no_likely_size_is_taken_in_metres(toy_checkpoint):
    space = TrainedSpace.load(toy_checkpoint)
    assert space.size == pytest.approx(1.0, abs=0.3)
    directions = np.random.default_rng(0).normal(size=(100, 3))
    assert likely_unit(space, 1e7 * directions) == "m"
    assert likely_unit(space, np.zeros((0, 3))) == "m"


def test_scans_of_any_size_are_fitted_as_if_alone(tmp_path, toy_checkpoint):
    for name, count in (("small", 60), ("large", 300), ("larger", 400)):
        points, normals = ellipsoid((0.9, 0.9, 1.1), count)
        trimesh.Trimesh(points, vertex_normals=normals, process=False).export(
            tmp_path / f"{name}.ply"
        )
    options = {
        "fit": FitOptions(num_points=256, detail="none"),
        "meshing": MeshOptions(resolution=16),
    }
    paths = [tmp_path / f"{name}.ply" for name in ("large", "larger", "small")]
    together = reconstruct_files(toy_checkpoint, collect_sources(paths), tmp_path / "a", **options)
    for item in together.done:
        path = tmp_path / f"{item.name}.ply"
        (alone,) = reconstruct_files(
            toy_checkpoint, collect_sources([path]), tmp_path / "b", **options
        ).done
        np.testing.assert_allclose(item.code, alone.code, atol=1e-6)


def test_interpolation_names_a_file_that_is_missing(tmp_path, toy_checkpoint):
    with pytest.raises(InputError, match=r"none\.ply: there is no such file"):
        interpolate_shapes(toy_checkpoint, ["ball", "none.ply"], tmp_path / "walk")


def test_a_sequence_begins_each_frame_where_the_last_ended(toy_checkpoint, tmp_path, monkeypatch):
    pytest.importorskip("embreex")
    for name in "ab":
        write_cloud(tmp_path / "in" / f"{name}.npz")
    guesses, call = [], Search.__call__

    def seen(self, *arguments, **options):
        guesses.append(self.guess)
        return call(self, *arguments, **options)

    monkeypatch.setattr(Search, "__call__", seen)
    sources, out = collect_sources([tmp_path / "in"]), tmp_path / "out"
    first, second = reconstruct_files(
        toy_checkpoint, sources, out, sequence=True, pictures=True, **QUICK
    ).done
    assert guesses[0] is None
    np.testing.assert_array_equal(guesses[1][0], first.code)
    assert second.facts["off_median"] < 1.3 * first.facts["off_median"]
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG") and (out / "b.png").exists()


def test_the_share_of_a_mesh_without_points():
    ball = trimesh.creation.icosphere(4)
    frame = Frame(np.array([5.0, 0, 0]), 2.0)
    half = ball.vertices[ball.vertices[:, 0] > 0].astype(np.float32)
    sigma = np.full(len(half), 0.01, np.float32)
    scan = PreparedScan("a", half, None, sigma, frame, "", "", 0, 0, 0, "none")
    placed = trimesh.Trimesh(frame.to_source(ball.vertices), ball.faces, process=False)
    assert share_without_points(placed, scan, 1.0) == pytest.approx(0.49, abs=0.04)
    assert share_without_points(trimesh.Trimesh(), scan, 1.0) == 1.0


def test_how_sure_a_fit_is_stands_in_the_mesh_and_beside_it(toy_checkpoint, tmp_path):
    sources = find_sources(write_cloud(tmp_path / "a.npz", 1000.0))
    (done,) = reconstruct_files(toy_checkpoint, sources, tmp_path / "out", **QUICK).done
    attributes = load(done.path).metadata["_ply_raw"]["vertex"]["data"]
    deviation, red = attributes["deviation"], attributes["red"]
    assert len(deviation) == len(done.mesh.vertices) and (deviation > 0).all()
    median = np.median(deviation)
    assert done.facts["deviation_median"] == pytest.approx(median, rel=1e-4)
    assert red[deviation.argmax()] >= red[deviation.argmin()]
    assert done.facts["share_without_points"] < 0.5 and done.facts["strangeness"] > 0
    published = reconstruct_files(toy_checkpoint, sources, tmp_path / "b", **PUBLISHED).done[0]
    assert published.facts["deviation_median"] is None
    assert "surface sure" not in published.line() and "surface sure to" in done.line()


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_an_empty_mesh_is_written(tmp_path, suffix):
    assert write_mesh(trimesh.Trimesh(), tmp_path / f"empty{suffix}").exists()


def test_a_refined_mesh_is_nearer_and_says_so(toy_checkpoint, tmp_path):
    scan = write_cloud(tmp_path / "a.npz", count=600)
    found = {}
    for steps in (0, 60):
        fit = FitOptions(num_points=256, refine=steps)
        (done,) = reconstruct_files(
            toy_checkpoint, find_sources(scan), tmp_path / str(steps), fit, QUICK["meshing"]
        ).done
        found[steps] = done
    plain, refined = found[0].facts, found[60].facts
    assert "refined_off_median" not in plain and plain["off_median"] == refined["off_median"]
    assert refined["refined_off_median"] < refined["off_median"]
    assert "; refined to" in found[60].line() and "; refined to" not in found[0].line()
    assert len(found[60].mesh.vertices) and refined["deviation_median"] > 0
