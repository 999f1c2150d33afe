"""A toy space evaluated: scores of all scans, truths by name, baselines against naive search."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
import trimesh

from shapespace.baselines.poisson import DEPTHS, poisson_baselines, without_open3d
from shapespace.baselines.shapes import NEAREST_SHARE, Baselines, pose_of
from shapespace.cli.main import main
from shapespace.config.options import EvaluationOptions, FitOptions, MeshOptions
from shapespace.data.sources import collect_sources
from shapespace.errors import InputError
from shapespace.evaluation.evaluate import evaluate_scans
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.scorer import Scorer
from shapespace.evaluation.tables import scores_head
from shapespace.fitting import Pose
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from tests.conftest import RADII, ellipsoid

FIT = FitOptions(num_points=200, detail="none")
MESHING = MeshOptions(resolution=24)
OPTIONS = EvaluationOptions(num_samples=400, baselines=True)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The ellipsoids of the toy store as meshes, but for one, of which there is a broken file."""
    folder = tmp_path_factory.mktemp("truth")
    for row, (name, axes) in enumerate(RADII.items()):
        mesh = trimesh.creation.icosphere(3)
        mesh.vertices = mesh.vertices * axes + row
        mesh.export(folder / f"{name}.ply")
    (folder / "lens.ply").unlink()
    (folder / "melon.ply").write_bytes(b"not a mesh")
    return folder


@pytest.fixture(scope="module")
def result(toy_checkpoint, toy_store, truth, tmp_path_factory):
    out = tmp_path_factory.mktemp("scores") / "out"
    sources = collect_sources([toy_store])
    return evaluate_scans(toy_checkpoint, sources, out, truth, FIT, MESHING, OPTIONS), out


@pytest.fixture(scope="module")
def space(toy_checkpoint):
    return TrainedSpace.load(toy_checkpoint)


def test_each_scan_has_scores_to_itself_and_to_its_truth(result):
    found, _ = result
    all_scores = {scores.name: scores for scores in found.all_scores}
    assert list(all_scores) == ["ball", "egg", "lens"]
    assert [name for name, _ in found.skipped] == ["melon"]
    of_all = {"scan", "mesh", "seconds", "fit", "nearest_scan", "mean_scan"}
    both = {"registration", "nearest_registration", "mean_registration"}
    if not without_open3d():
        of_all |= {f"poisson{depth}_scan" for depth in DEPTHS}
        both |= {f"poisson{depth}_registration" for depth in DEPTHS}
    assert set(all_scores["lens"].parts) == of_all
    assert set(all_scores["ball"].parts) == of_all | both
    seen = {"point_to_mesh_seen", "point_to_mesh_unseen", "seen_share"}
    for part in both:
        assert seen - {"point_to_mesh_seen"} <= set(all_scores["ball"].parts[part]), part
    assert 0 < all_scores["egg"].value("registration", "point_to_mesh") < 0.3
    assert 0 < all_scores["egg"].value("scan", "completeness_exact_median") < 0.3
    assert {"fit", "mesh", "metrics", "baselines"} == set(all_scores["egg"].parts["seconds"])
    assert all_scores["egg"].group == "egg"


def test_the_files_say_what_was_done(result, toy_checkpoint):
    _, out = result
    content = json.loads((out / "scores.json").read_text())
    assert [shape["name"] for shape in content["shapes"]] == ["ball", "egg", "lens"]
    facts = content["facts"]
    assert facts["without_registration"] == ["lens"]
    assert facts["trained_on"] == ["ball", "egg", "lens"]
    assert facts["skipped"][0]["name"] == "melon"
    assert facts["unit"] == "m" and facts["fit"]["num_points"] == 200
    assert content["summary"]["registration"]["chamfer_half_unsquared"]["shapes"] == 2
    rows = list(csv.DictReader((out / "scores.csv").open(newline="")))
    assert [row["name"] for row in rows] == ["ball", "egg", "lens"]
    text = (out / "scores.txt").read_text()
    assert "NOT UNSEEN: ball, egg, lens" in text and "skipped melon: " in text
    assert "nearest training shape" in text and "mean shape" in text
    made = {path.name for path in (out / "shapes").iterdir()}
    assert {"egg.ply", "egg.json", "egg.npy"} <= made
    told = json.loads((out / "shapes" / "egg.json").read_text())
    assert told["dropped_components"] >= 0 and told["mesh_seconds"] >= 0


def test_what_is_there_is_kept_and_measured_alike(result, toy_checkpoint, toy_store, truth):
    first, out = result
    before = {path: path.stat().st_mtime_ns for path in (out / "shapes").iterdir()}
    sources = collect_sources([toy_store])
    again = evaluate_scans(toy_checkpoint, sources, out, truth, FIT, MESHING, OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in (out / "shapes").iterdir()} == before
    assert again.facts["kept"] == 4
    for old, new in zip(first.all_scores, again.all_scores, strict=True):
        for part in set(old.parts) - {"seconds"}:
            assert new.parts[part] == old.parts[part]


def test_scans_and_truths_are_read_as_the_user_names_their_columns(toy_checkpoint, tmp_path):
    points, normals = ellipsoid(RADII["egg"], 700)
    table = np.hstack([9 * normals, points])
    for folder in ("scans", "truth"):
        (tmp_path / folder).mkdir()
        np.savetxt(tmp_path / folder / "egg.csv", table, delimiter=",")
    words = ["evaluate", str(toy_checkpoint), str(tmp_path / "scans"), "--unit", "m"]
    words += ["--truth", str(tmp_path / "truth"), "--resolution", "16", "--num-samples", "400"]
    words += ["--out", str(tmp_path / "out"), "--detail", "none"]
    assert main(words) == 2
    assert main([*words, "--columns", "u,v,w,x,y,z"]) == 0
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    (shape,) = found["shapes"]
    # Nine times as large and of another form, if any of the three readers took other columns.
    assert shape["scan"]["completeness_exact_median"] < 0.3
    assert shape["registration"] == pytest.approx(shape["scan"])
    said = (tmp_path / "out" / "scores.txt").read_text()
    assert "2 scans: read x y z; not used: u v w" in said
    table[5] = np.nan
    np.savetxt(tmp_path / "scans" / "egg.csv", table, delimiter=",")
    assert main([*words, "--columns", "u,v,w,x,y,z", "--strict"]) == 2


def test_an_interrupted_run_keeps_what_it_has_measured_and_goes_on(
    toy_checkpoint, toy_store, truth, tmp_path, monkeypatch
):
    sources = collect_sources([toy_store], ["ball", "egg", "lens"])
    options = EvaluationOptions(num_samples=200, group_end="")
    measure, measured = Scorer.card, []

    def run(out, **more):
        measured.clear()
        changed = EvaluationOptions(**{**vars(options), **more})
        return evaluate_scans(toy_checkpoint, sources, out, truth, FIT, MESHING, changed)

    def until_egg(self, item, source):
        if item.name == "lens":
            raise KeyboardInterrupt
        return counted(self, item, source)

    def counted(self, item, source):
        measured.append(item.name)
        return measure(self, item, source)

    monkeypatch.setattr(Scorer, "card", until_egg)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open(newline="")))
    assert [row["name"] for row in rows] == measured == ["ball", "egg"]
    facts = json.loads((tmp_path / "out" / "scores.json").read_text())["facts"]
    assert (facts["scans"], facts["unmeasured"]) == (2, 1)
    text = (tmp_path / "out" / "scores.txt").read_text()
    assert "UNFINISHED: 2 of 3 scans are measured; give the same command again" in text
    monkeypatch.setattr(Scorer, "card", counted)
    again = run(tmp_path / "out")
    assert measured == ["lens"]
    assert "UNFINISHED" not in (tmp_path / "out" / "scores.txt").read_text()
    whole = run(tmp_path / "whole")
    assert measured == ["ball", "egg", "lens"]
    assert again.remarks() == whole.remarks()
    for old, new in zip(whole.all_scores, again.all_scores, strict=True):
        assert (old.name, old.group) == (new.name, new.group)
        for part in set(old.parts) - {"seconds"}:
            assert new.parts[part] == old.parts[part], part
    # What has changed is measured anew: a damaged card, another truth, other samples.
    (tmp_path / "out" / "measured" / "egg.json").write_text('{"key": 1')
    run(tmp_path / "out")
    assert measured == ["egg"]
    run(tmp_path / "out")
    assert measured == []
    run(tmp_path / "out", num_samples=201)
    assert measured == ["ball", "egg", "lens"]


def test_screened_poisson_of_the_points_of_the_store(result, toy_store, truth):
    if without_open3d():
        pytest.skip(without_open3d())
    found, out = result
    (source,) = collect_sources([toy_store], ["egg"])
    scan = source.prepared()
    points = scan.frame.to_source(scan.points)
    meshes, said = poisson_baselines(points, scan.normals)
    assert said == ""
    (scores,) = (scores for scores in found.all_scores if scores.name == "egg")
    raw = trimesh.load_mesh(truth / "egg.ply", process=False)
    for depth, mesh in meshes.items():
        part = scores.parts[f"poisson{depth}_registration"]
        assert part["point_to_mesh"] < 0.05
        mine = SampledSurface.of_mesh(mesh, 400, FIT.seed)
        target = SampledSurface.of_mesh(raw, 400, FIT.seed + 1)
        by_hand = surface_distances(mine, target, num_points=400, seed=FIT.seed)
        assert {name: part[name] for name in by_hand} == pytest.approx(by_hand, rel=1e-4)
    text = (out / "scores.txt").read_text()
    assert "3 scans: screened Poisson of all points: measured normals of the store" in text
    assert "the space is nearer than screened Poisson at its better depth: as a whole on " in text
    lines = [line for line in scores_head(found.all_scores).splitlines() if "Poisson" in line]
    assert len(lines) == len(DEPTHS) and sum("(best)" in line for line in lines) == 1
    medians = {
        depth: np.median(
            [
                scores.value(f"poisson{depth}_registration", "point_to_mesh")
                for scores in found.all_scores
                if scores.name != "lens"
            ]
        )
        for depth in DEPTHS
    }
    assert f"depth {min(medians, key=medians.get)} (best)" in "\n".join(lines)


def test_without_open3d_one_line_says_how_to_install_it(
    toy_checkpoint, toy_store, tmp_path, monkeypatch
):
    words = ["evaluate", toy_checkpoint, toy_store, "--out", tmp_path / "out", "--baselines"]
    words += ["--num-points", 100, "--resolution", 16, "--num-samples", 100, "--detail", "none"]
    with monkeypatch.context() as absent:
        absent.setitem(sys.modules, "open3d", None)
        assert main([str(word) for word in words]) == 0
    text = (tmp_path / "out" / "scores.txt").read_text()
    assert text.count("pip install 'shapespace[baseline]'") == 1
    assert "no screened Poisson: Open3D" in text and "nearest training shape" in text
    assert "poisson8" not in (tmp_path / "out" / "scores.csv").read_text()
    if without_open3d():
        pytest.skip(without_open3d())
    # Once it is installed, the same command measures what was missing.
    (tmp_path / "names.txt").write_text("egg\n")
    assert main([str(word) for word in [*words, "--scans", tmp_path / "names.txt"]]) == 0
    assert "pip install" not in (tmp_path / "out" / "scores.txt").read_text()
    assert "poisson9_scan.chamfer_to" in (tmp_path / "out" / "scores.csv").read_text()


def test_labelled_parts_have_a_column_everywhere(toy_checkpoint, toy_store, tmp_path, capsys):
    folder = tmp_path / "truth"
    folder.mkdir()
    ball = trimesh.creation.icosphere(3)
    for row, (name, axes) in enumerate(RADII.items()):
        if name in ("ball", "egg", "lens"):
            mesh = ball if name != "lens" else trimesh.creation.icosphere(2)
            trimesh.Trimesh(mesh.vertices * axes + row, mesh.faces).export(folder / f"{name}.ply")
    np.savez(tmp_path / "parts.npz", top=ball.vertices[:, 2] > 0, low=ball.vertices[:, 2] < 0)
    np.savez(tmp_path / "wrong.npz", top=np.ones(7, bool))
    words = ["evaluate", toy_checkpoint, toy_store, "--out", tmp_path / "out", "--resolution", 24]
    words += ["--num-points", 200, "--num-samples", 2000, "--detail", "none", "--labels"]
    words = [str(word) for word in words]
    there = ["--truth", str(folder)]
    for labels, more, said in (
        ("parts.npz", [], "is of true surfaces; give these by --truth"),
        ("wrong.npz", there, "the masks have 7 vertices, the true surface 642 of ball"),
        ("none.npz", there, "cannot be read"),
    ):
        assert main([*words, str(tmp_path / labels), *more]) == 2
        error = capsys.readouterr().err.strip()
        assert said in error and len(error.splitlines()) == 1
        assert not (tmp_path / "out").exists()
    assert main([*words, str(tmp_path / "parts.npz"), *there]) == 0
    shown = capsys.readouterr().out
    text = (tmp_path / "out" / "scores.txt").read_text()
    assert all(f" {title} " in shown.splitlines()[0] for title in ("not seen", "top", "low"))
    assert "lens: no columns of labelled parts: the masks have 642 vertices, the true" in text
    assert "point_to_mesh over the part 'top' of T" in text
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    shapes = {
        shape["name"]: shape["registration"] for shape in found["shapes"] if "registration" in shape
    }
    assert "point_to_mesh_top" not in shapes["lens"]
    egg = shapes["egg"]
    # Both halves are as large, but for the ring of triangles between them.
    halves = (egg["point_to_mesh_top"] + egg["point_to_mesh_low"]) / 2
    assert halves == pytest.approx(egg["point_to_mesh"], rel=0.15)
    head = (tmp_path / "out" / "scores.csv").read_text().splitlines()[0]
    assert "registration.point_to_mesh_top" in head and "registration.seen_share" in head


def some_pose():
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -0.2, 0], [0.2, 0, 0], [0, 0, 0]]).double())
    return Pose(
        turn[None], torch.tensor([[0.1, 0.0, -0.05]]).double(), torch.tensor([1.1]).double()
    )


def test_the_nearest_training_shape_is_that_of_a_search_by_hand(space):
    points, _ = ellipsoid((1.15, 0.9, 0.9), 150)
    frame, pose = Frame(np.full(3, 0.5), 2.0), some_pose()
    baselines = Baselines(space, 24)
    local = torch.from_numpy(frame.to_store(2 * points + 0.5))
    off = []
    for name in space.names:
        moved = 1.1 * local @ pose.rotation[0].T + pose.shift[0]
        code = space.code(name)[None]
        with torch.no_grad():
            field = space.decoder(moved[None].float(), code).abs()[0] / 1.1
        kept = field.sort().values[: int(NEAREST_SHARE * len(field))]
        off.append(float(kept.mean()))
    found = baselines.mean_distances(local, torch.arange(len(space.names)), pose)
    np.testing.assert_allclose(found.numpy(), off, rtol=1e-4)
    assert baselines.nearest_training_shape(2 * points + 0.5, frame, pose) == int(np.argmin(off))


def test_baselines_lie_in_the_pose_of_the_scan(space):
    frame, pose = Frame(np.array([1.0, 2, 3]), 2.0), some_pose()
    baselines = Baselines(space, 24)
    still = space.mesh(space.codes.table.weight.mean(0), resolution=24)
    posed = baselines.mean_mesh(frame, pose)
    back = pose(torch.from_numpy(frame.to_store(posed.vertices))[None])[0].numpy()
    np.testing.assert_allclose(back, still.vertices, atol=1e-6)
    np.testing.assert_array_equal(baselines.mean_mesh(frame, pose).vertices, posed.vertices)
    near = baselines.training_mesh(1, frame, pose)
    again = space.mesh(space.code("egg"), frame, 24, pose=pose)
    np.testing.assert_array_equal(near.vertices, again.vertices)


def test_the_pose_of_a_reconstruction_is_that_of_its_json(result, space):
    _, out = result
    facts = json.loads((out / "shapes" / "egg.json").read_text())
    frame, pose = pose_of(facts)
    code = torch.from_numpy(np.load(out / "shapes" / "egg.npy"))
    mesh = space.mesh(code, frame, 24, pose=pose)
    written = trimesh.load_mesh(out / "shapes" / "egg.ply", process=False)
    np.testing.assert_allclose(mesh.vertices, written.vertices, atol=1e-5)


def test_files_in_millimetres_are_measured_in_metres(toy_checkpoint, tmp_path):
    mesh = trimesh.creation.icosphere(3)
    for folder, size in (("m", 1.0), ("mm", 1000.0)):
        (tmp_path / folder).mkdir()
        trimesh.Trimesh(mesh.vertices * size, mesh.faces).export(tmp_path / folder / "new.ply")
    found = {}
    for folder in ("m", "mm"):
        sources = collect_sources([tmp_path / folder])
        out, truth = tmp_path / f"out_{folder}", tmp_path / "m"
        options = EvaluationOptions(num_samples=300)
        (scores,) = evaluate_scans(
            toy_checkpoint, sources, out, truth, FIT, MESHING, options
        ).all_scores
        found[folder] = scores
    for part in ("registration", "scan"):
        expected = dict(found["m"].parts[part])
        assert found["mm"].parts[part] == pytest.approx(expected, rel=0.02, abs=2e-4)
    assert found["mm"].value("mesh", "area") == pytest.approx(
        found["m"].value("mesh", "area"), rel=0.01
    )


def test_truth_without_any_of_the_names_is_refused_before_the_work(
    toy_checkpoint, toy_store, tmp_path
):
    folder = tmp_path / "truth"
    folder.mkdir()
    trimesh.creation.box().export(folder / "other.ply")
    with pytest.raises(InputError, match="truth: has no surface with the name of a scan"):
        evaluate_scans(
            toy_checkpoint,
            collect_sources([toy_store]),
            tmp_path / "out",
            folder,
            FIT,
            MESHING,
            OPTIONS,
        )
    assert not (tmp_path / "out" / "shapes").exists()


def test_the_command(toy_checkpoint, toy_store, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("egg\n")
    words = ["evaluate", toy_checkpoint, toy_store, "--out", tmp_path / "out"]
    words += ["--scans", tmp_path / "names.txt", "--num-points", 100, "--resolution", 16]
    words += ["--detail", "none"]
    assert main([str(word) for word in [*words, "--num-samples", 200, "--group-end", ""]]) == 0
    text = capsys.readouterr().out
    assert "scan median" in text and "egg" in text and "NOT UNSEEN: egg" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("scores.csv", "scores.json", "scores.txt", "shapes", "measured"),
    }
    assert main([str(word) for word in [*words, "--num-samples", 0]]) == 2
    assert "num_samples=0: give at least 1" in capsys.readouterr().err
