"""What the controls do, on a tiny space and without a page."""

import io
import json
import shutil
import threading

import numpy as np
import pytest
import torch
import trimesh

from shapespace.config.options import FitOptions, MeshOptions
from shapespace.data.sources import Source
from shapespace.errors import InputError
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.results import read_result
from shapespace.space import TrainedSpace
from shapespace.viewer import dropped as dropped_module
from shapespace.viewer import session as session_module
from shapespace.viewer.page import open_page
from shapespace.viewer.scene.colours import blended, strain_at
from shapespace.viewer.scene.meshes import Sketcher
from shapespace.viewer.session import REACH, Session, free_name
from shapespace.viewer.targets import opened
from shapespace.viewer.watch import RunWatch, first_space
from shapespace.viewer.worker import GivenUp
from tests.conftest import ellipsoid
from tests.viewer.displays import Recorder

FINE = 64


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """The checkpoint of a run that is long enough for its shapes to differ."""
    return train(tmp_path_factory.mktemp("viewer") / "run", 10)


@pytest.fixture(scope="module")
def space(trained):
    return TrainedSpace.load(trained, "cpu")


@pytest.fixture
def session(space, tmp_path):
    found = Session(space, Recorder(), tmp_path / "out", resolution=FINE)
    yield found
    found.stop()


def ply(radii=(1.1, 0.9, 0.95), shift=0.0):
    """The bytes of a scan."""
    points, normals = ellipsoid(radii, count=400, seed=5)
    return trimesh.Trimesh(points + shift, vertex_normals=normals, process=False).export(
        file_type="ply"
    )


def test_new_shapes_are_drawn_one_after_the_other(session, space, tmp_path):
    codes = []
    for number in (1, 2):
        session.new_shape()
        assert session.worker.wait()
        codes.append(session.place.code)
        assert session.display.said[-1].startswith(f"new shape {number} of the mixture")
        assert any(session.display.said[-1].endswith(name) for name in space.names)
    assert not torch.equal(*codes) and session.display.pictures[-1].is_fine
    other = Session(space, Recorder(), tmp_path / "other", resolution=FINE)
    other.new_shape()
    assert other.worker.wait()
    other.stop()
    torch.testing.assert_close(other.place.code, codes[0])


def test_sliders_move_along_the_axes_and_back(session, space):
    display = session.display
    session.start()
    assert session.worker.wait()
    mean = space.codes.table.weight.mean(0)
    assert torch.allclose(session.place.code, mean, atol=1e-6)
    values = np.linspace(1, 2, session.num_sliders)
    session.slide(values.tolist())
    assert session.worker.wait()
    moved = session.place.code - mean
    axes = session.axes
    expected = values[: session.num_axes] * np.sqrt(axes.variances[: session.num_axes])
    found = axes.coordinates(session.place.code[None].double().numpy())[0, : session.num_axes]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert 0 < session.num_axes < len(space.names) and moved.norm() > 0
    # A coarse picture comes first, then the fine one, and only then the sliders are set.
    assert [picture.is_fine for picture in display.pictures] == [True, False, True]
    coarse, fine = display.pictures[1:]
    assert len(coarse.mesh.faces) < len(fine.mesh.faces)
    np.testing.assert_allclose(display.sliders[-1], values)
    session.slide([0.0] * session.num_sliders)
    assert torch.allclose(session.place.code, mean, atol=1e-5)
    assert session.worker.wait() and display.threads == {"viewer"}


def test_names_keep_their_whole_code_and_sliders_move_it_from_there(session, space):
    name = space.names[1]
    session.choose(name)
    assert torch.equal(session.place.code, space.code(name)) and session.place.name == name
    assert np.abs(session.place.values).max() <= REACH
    before = np.array(session.place.values)
    session.slide((before + 0.5).tolist())
    session.slide(before.tolist())
    assert torch.allclose(session.place.code, space.code(name), atol=1e-5)
    with pytest.raises(InputError, match="nobody"):
        session.choose("nobody")
    first, second = space.names[:2]
    for share, code in ((0.0, space.code(first)), (1.0, space.code(second))):
        session.walk(first, second, share)
        assert torch.equal(session.place.code, code)
    session.rest()
    assert session.worker.wait()
    assert session.display.pictures[-1].is_fine and session.display.said == []


def test_a_mesh_near_the_last_one_is_the_mesh_from_nothing(space):
    sketcher = Sketcher(space)
    start, end = space.code(space.names[0]), space.code(space.names[2])
    for share in (0.0, 0.1, 0.5, 1.0):
        code = (1 - share) * start + share * end
        near, alone = sketcher.mesh(code, FINE), space.mesh(code, resolution=FINE)
        cell = np.ptp(alone.bounds, axis=0).max() / (FINE - 1)
        np.testing.assert_allclose(near.bounds, alone.bounds, atol=cell)
        assert near.volume == pytest.approx(alone.volume, rel=0.01)
        assert near.is_watertight == alone.is_watertight
    with pytest.raises(GivenUp):
        sketcher.mesh(start, FINE, lambda: True)


def test_a_dropped_scan_is_what_reconstruct_makes_of_it(session, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "WALK_STEPS", 4)
    content = ply()
    session.drop("guest.ply", content)
    assert session.worker.wait()
    display, dropped = session.display, session.dropped
    assert dropped is not None and torch.equal(session.place.code, dropped.fitted.codes[0])
    path = tmp_path / "guest.ply"
    path.write_bytes(content)
    meshing, fit = MeshOptions(resolution=FINE), FitOptions(detail="none")
    (other,) = reconstruct_files(
        trained, [Source("guest", path)], tmp_path / "r", fit=fit, meshing=meshing
    ).done
    assert torch.allclose(other.code, dropped.fitted.codes[0], atol=1e-5)
    assert dropped.facts.keys() == other.facts.keys()
    assert dropped.facts["off_median"] == pytest.approx(other.facts["off_median"], rel=1e-3)
    assert dropped.own_mesh.volume == pytest.approx(other.mesh.volume, rel=0.01)
    # The points that are drawn lie on the shape beside which they are drawn.
    assert np.median(dropped.distance(dropped.mesh)) < 0.2
    assert display.told[-1][0] == dropped.verdict and "points off by" in display.told[-1][1]
    for colours in ("distance to the scan", "uncertainty"):
        session.colour(colours)
        assert session.worker.wait()
        picture = display.pictures[-1]
        assert picture.colours.shape == picture.mesh.vertices.shape and "median" in picture.legend
    session.slide([0.3, *session.place.values[1:]])
    assert session.worker.wait() and display.pictures[-1].colours is None
    _check_saved(session, tmp_path / "out")
    session.forget()
    assert session.worker.wait() and session.dropped is None and display.scans[-1] is None
    assert display.pictures[-1].legend == "uncertainty: open a scan file first"


def _check_saved(session, out):
    session.save()
    session.save()
    assert session.worker.wait()
    names = {"guest.ply", "guest.npy", "guest.json", "guest_walk.glb"}
    assert {path.name for path in out.iterdir()} == names | {
        name.replace("guest", "guest_2") for name in names
    }
    found = read_result(out, "guest")
    assert torch.equal(found.code, session.dropped.fitted.codes[0])
    np.testing.assert_allclose(found.mesh.bounds, session.dropped.own_mesh.bounds, atol=1e-4)
    content = (out / "guest_walk.glb").read_bytes()
    tree = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert len(tree["animations"][0]["channels"]) == 4
    for channel, sampler in zip(
        tree["animations"][0]["channels"], tree["animations"][0]["samplers"], strict=True
    ):
        assert tree["nodes"][channel["target"]["node"]]["name"].startswith("step")
        accessor = tree["accessors"][sampler["output"]]
        assert accessor["count"] == tree["accessors"][sampler["input"]]["count"] == 5
    scene = trimesh.load_scene(io.BytesIO(content), file_type="glb")
    # The walk ends at the reconstruction, in the frame of the file.
    ends = scene.geometry["step003"].bounds
    np.testing.assert_allclose(ends, session.dropped.own_mesh.bounds, atol=0.05)


def test_what_no_reader_takes_is_one_line_and_leaves_the_page_as_it_was(session, monkeypatch):
    session.drop("guest.ply", ply())
    assert session.worker.wait()
    good = session.dropped
    monkeypatch.setattr(dropped_module, "MOST_BYTES", 100_000)
    bad = {
        "../../escape.ply": ply(),
        "a\x1b[31m.ply": ply(),
        "scan.exe": b"MZ",
        "empty.ply": b"",
        "cut.ply": ply()[:200],
        "large.ply": bytes(200_000),
        "store.hdf5": b"\x89HDF\r\n\x1a\n",
        "packed.ply": b"\x1f\x8bxx",
        "flat.xyz": b"0 0\n1 0\n1 1\n0 1\n",
        "far.ply": ply(radii=(1, 500, 1)),
    }
    for name, content in bad.items():
        session.display.said.clear()
        session.drop(name, content)
        assert session.worker.wait()
        line = session.display.said[-1]
        assert "\n" not in line and "\x1b" not in line and "mistake of the viewer" not in line, line
        assert "/tmp" not in line and "shapespace-" not in line, line
        assert line.split(":")[0].strip("'").startswith(name.split("\x1b")[0])
        assert session.display.told[-1] == [], "nothing stands of the scan before"
    assert session.dropped is good and not session.out.exists()


def test_a_training_is_followed(session, space, train, tmp_path):
    run = tmp_path / "run"
    watch = RunWatch(run)
    with pytest.raises(InputError, match="no such run folder"):
        first_space(watch, session.display.say)
    run.mkdir()
    said, trained_now = [], []

    def pause(_):
        trained_now.append(train(run, 1))

    assert first_space(watch, said.append, pause).names == space.names
    assert len(trained_now) == 1 and "waiting" in said[0]
    assert watch.new_space() is None
    losses = watch.new_losses()
    assert "epoch" in losses.line() and len(losses.values) == 1
    session.choose(space.names[1])
    train(run, 2)
    newer = watch.new_space()
    assert newer is not None and len(watch.new_losses().values) == 2
    session.replace(newer)
    assert session.worker.wait()
    assert torch.equal(session.place.code, newer.code(space.names[1]))
    shutil.copy(run / "metrics.csv", run / "last.ckpt")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        watch.new_space()
    assert watch.new_space() is None, "a damaged file is named once"


def test_many_at_once_leave_one_shape(session):
    values = np.random.default_rng(0).uniform(-2, 2, (200, session.num_sliders))

    def drag(part):
        for row in part:
            session.slide(row.tolist())

    threads = [threading.Thread(target=drag, args=(part,)) for part in np.split(values, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.worker.wait()
    np.testing.assert_allclose(session.display.sliders[-1], session.place.values)
    assert len(session.display.pictures) < 200, "nobody waits for a mesh"
    session.rest()
    start_code = session.place.code
    session.slide(session.place.values)
    assert torch.allclose(session.place.code, start_code)


def test_colours_and_names():
    colours, legend = blended(np.array([0.0, 0.01, 0.02, 9.0, np.nan]), 0.02)
    assert len(set(map(tuple, colours[[0, 2, 4]]))) == 3
    assert (colours[2] == colours[3]).all() and "20 mm" in legend


def test_the_map_shows_where_the_shape_is_and_bending_is_along_what_moved(session, space):
    display = session.display
    session.start()
    name, second = space.names[:2]
    session.colour("bending")
    session.choose(name)
    assert session.worker.wait()
    (found,) = display.maps
    assert found.names == tuple(space.names) and np.abs(found.dots).max() == pytest.approx(0.85)
    place, marked, ends = display.marks[-1]
    assert marked == name and ends is None and found.nearest(np.array(place)) == name
    np.testing.assert_allclose(place, found.dots[0], atol=1e-6)
    assert "axis 1" in display.pictures[-1].legend
    session.walk(name, second, 0.25)
    assert session.worker.wait()
    place, marked, ends = display.marks[-1]
    assert (marked, ends) == ("", (name, second))
    np.testing.assert_allclose(place, 0.75 * found.dots[0] + 0.25 * found.dots[1], atol=1e-5)
    picture = display.pictures[-1]
    assert picture.legend.startswith(f"strain along the walk from {name} to {second}: blue is 0")
    assert picture.colours.shape == picture.mesh.vertices.shape
    # The strain of a way twice as long is twice as large.
    change = space.code(second) - space.code(name)
    once, twice = (
        strain_at(picture.mesh, space, session.place.code, scale * change) for scale in (1, 2)
    )
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)
    session.leave_walk()
    session.rest()
    assert session.worker.wait() and display.marks[-1][2] is None


def test_a_result_of_reconstruct_is_shown_as_its_file_has_it(session, trained, space, tmp_path):
    path = tmp_path / "guest.ply"
    path.write_bytes(ply(shift=3.0))
    reconstruct_files(
        trained,
        [Source("guest", path)],
        tmp_path / "r",
        fit=FitOptions(detail="none"),
        meshing=MeshOptions(resolution=FINE),
    )
    target = opened(trained, results=tmp_path / "r")
    assert target.names == ("guest",)
    found = target.result("guest")
    session.show_result(found)
    assert session.worker.wait()
    shown, drawn = session.display.pictures[-1].mesh, space.mesh(found.code, resolution=FINE)
    np.testing.assert_allclose(shown.bounds, drawn.bounds, atol=0.02)
    assert np.abs(np.asarray(found.mesh.bounds) - shown.bounds).max() > 2, "the file is elsewhere"
    assert "points off by" in session.display.told[-1][0]
    session.slide([0.5, *session.place.values[1:]])
    assert session.worker.wait() and session.place.mesh is None
    with pytest.raises(InputError, match=r"shapespace view .*last\.ckpt --results"):
        opened(tmp_path / "r")
    with pytest.raises(InputError, match="holds no reconstruction"):
        opened(trained, results=tmp_path)
    with pytest.raises(InputError, match="is not there any more"):
        target.result("nobody")


def test_a_folder_of_runs_is_a_choice(trained, tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        shutil.copy(trained, tmp_path / name / "last.ckpt")
    (tmp_path / "notes").mkdir()
    target = opened(tmp_path)
    assert (list(target.runs), target.run) == (["a", "b"], "a")
    assert opened(tmp_path / "b").runs == {}
    pytest.importorskip("viser")
    page = open_page(tmp_path, port=0)
    try:
        first = page.session
        page.show_run("b")
        assert page.session is not first and page.session.space.path == tmp_path / "b" / "last.ckpt"
        assert page.session.worker.wait()
        assert not first.worker._thread.is_alive()
    finally:
        page.close()


def test_a_free_name_overwrites_nothing(tmp_path):
    assert free_name(tmp_path, "a") == "a"
    (tmp_path / "a_walk.glb").touch()
    (tmp_path / "a_2.npy").touch()
    assert free_name(tmp_path, "a") == "a_3"


def test_targets_that_are_no_space_are_one_line(trained, tmp_path):
    pytest.importorskip("viser")
    for target, words, watch in (
        (tmp_path, "holds no last.ckpt, and no folder below", False),
        (tmp_path / "none.ckpt", "no such checkpoint", False),
        (trained, "follows the folder of a run", True),
    ):
        with pytest.raises(InputError, match=words):
            open_page(target, port=0, watch=watch)
    with pytest.raises(InputError, match="port=70000"):
        open_page(trained, port=70000)
