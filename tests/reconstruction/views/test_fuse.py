"""Depth maps back to shapes, and the mistakes of users: each is one line and names the remedy."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shapespace.cameras.files import write_cameras
from shapespace.cameras.images import write_depth
from shapespace.cameras.pinhole import ring
from shapespace.config.options import FitOptions, MeshOptions, ViewOptions
from shapespace.data.sources import Source
from shapespace.errors import InputError
from shapespace.reconstruction import reconstruct
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.views.check import seen_sources
from shapespace.reconstruction.views.fuse import sight_of
from tests.reconstruction.views.bottles import TRUE, blank, bottle_space, rewritten, write_bottle

RING = ring(3, np.zeros(3), 0.6, size=(56, 48))
QUICK = {"fit": FitOptions(detail="none"), "meshing": MeshOptions(resolution=32)}


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bottle")
    return write_bottle(folder, RING, noise=0.002), folder


@pytest.fixture(autouse=True)
def space(monkeypatch):
    made = bottle_space()
    monkeypatch.setattr(reconstruct, "space_of_meshes", lambda checkpoint: made)
    return made


def words(paths):
    return [str(path) for path in paths]


def given(folder, rows=(0, 1, 2), **options):
    depth = words(folder / f"depth_{row:03d}.png" for row in rows)
    return ViewOptions(**{"depth": depth, "cameras": str(folder / "transforms.json"), **options})


def run(options, out, sources=(), **more):
    found = seen_sources(sources, options, "auto")
    return reconstruct_files("space", found, out, **{**QUICK, "strict": True, **more})


@pytest.mark.parametrize("rows", [(0,), (0, 1, 2)])
def test_noisy_depth_maps_give_the_shape_where_it_stood(rows, shots, tmp_path):
    (done,) = run(given(shots[1], rows), tmp_path / "o").done
    assert float(done.code[0]) == pytest.approx(float(TRUE[0]), abs=0.02)
    radii = np.linalg.norm(np.asarray(done.mesh.vertices) - [0, -0.2, 0], axis=1)
    assert np.median(radii) == pytest.approx(0.35 * np.exp(0.12), abs=0.01)
    assert done.facts["free_space"]["rays"] > 500
    assert done.facts["free_space"].get("crossed", 0) < 0.01
    assert f"read {len(rows)} depth maps" in done.line() and "at edges" in done.line()


def test_an_invented_part_before_the_hits_is_taken_away(space, tmp_path):
    camera = ring(1, np.zeros(3), 0.6, size=(56, 48))
    views = write_bottle(tmp_path, camera)
    (source,) = seen_sources([], given(tmp_path, (0,)))
    scan = replace_prepared(source)
    sight = sight_of(source, scan)
    # A bottle twice as wide stands in the way of the rays.
    mesh = space.mesh(torch.tensor([0.7]), resolution=48)
    before = sight.crossed(scan.frame.to_store(np.asarray(mesh.vertices)), 0.02)
    assert (before > 0).mean() > 0.05 and before.max() > 0.3
    right = space.mesh(TRUE, resolution=48)
    assert not (sight.crossed(scan.frame.to_store(np.asarray(right.vertices)), 0.02) > 0).any()
    assert views[0].mask.any()


def replace_prepared(source):
    from shapespace.data.prepare.points import PointOptions, prepare_scan

    return prepare_scan(source.load()[0], source.name, PointOptions(sigma=False))


def test_masks_leave_out_a_background(shots, tmp_path):
    views, folder = shots
    depth = []
    for row, view in enumerate(views):
        wall = np.where(view.mask, view.depth, 4.0)
        depth.append(write_depth(tmp_path / f"depth_{row:03d}.png", wall))
    options = given(folder, depth=words(depth))
    with pytest.raises(InputError, match="--masks"):
        run(options, tmp_path / "o")
    masks = words(folder / f"mask_{row:03d}.png" for row in range(3))
    (done,) = run(replace(options, masks=masks), tmp_path / "o").done
    assert float(done.code[0]) == pytest.approx(float(TRUE[0]), abs=0.02)


def test_a_sensor_gives_its_lines_of_sight(shots, tmp_path):
    (views,) = seen_sources([], given(shots[1], (0,)))
    cloud = tmp_path / "cloud.npz"
    raw = views.load()[0]
    np.savez(cloud, points=raw.vertices, normals=raw.normals)
    at = views.files[0].camera.position
    (source,) = seen_sources(
        [Source("cloud", cloud)], ViewOptions(sensor=[str(x) for x in at.tolist()])
    )
    lines = sight_of(source, replace_prepared(source))
    assert len(lines) == len(raw.vertices)
    assert source.digest() != Source("cloud", cloud).digest()
    (done,) = run(ViewOptions(), tmp_path / "o", [source]).done
    assert done.facts["free_space"].get("crossed", 0) < 0.01
    (tmp_path / "at.txt").write_text("0 0 3\n")
    one = seen_sources([Source("cloud", cloud)], ViewOptions(sensor=[str(tmp_path / "at.txt")]))
    assert one[0].sensor == (0, 0, 3)


def test_the_digest_tells_cameras_and_files_apart(shots):
    digests = {
        seen_sources([], given(shots[1], rows, **more))[0].digest()
        for rows, more in [((0,), {}), ((0, 1), {}), ((0,), {"axes": "opencv"})]
    }
    digests.add(seen_sources([], given(shots[1], (0,), depth_unit="cm"))[0].digest())
    assert len(digests) == 4


# Mistakes.


def test_wrong_axes_of_several_views_are_named(shots, tmp_path):
    with pytest.raises(InputError, match=r"behind the cameras.*--axes opengl") as error:
        run(given(shots[1], axes="opencv"), tmp_path / "o")
    assert "\n" not in str(error.value)


def test_inverted_matrices_are_named(shots, tmp_path):
    views, folder = shots
    inverse = []
    for view in views:
        camera = view.camera
        opengl = camera.rotation @ np.diag([1.0, -1, -1])
        inverse.append(
            replace(
                camera,
                rotation=opengl.T @ np.diag([1.0, -1, -1]),
                position=-opengl.T @ camera.position,
            )
        )
    write_cameras(tmp_path / "t.json", inverse)
    with pytest.raises(InputError, match="camera-to-world"):
        run(given(folder, cameras=str(tmp_path / "t.json")), tmp_path / "o")


def test_wrong_axes_of_one_view_are_named(shots, tmp_path):
    views, folder = shots
    # A file that does not say what it is, with OpenCV matrices.
    write_cameras(tmp_path / "t.json", [view.camera for view in views], "opencv")
    text = (tmp_path / "t.json").read_text().replace('"camera_axes": "opencv",', "")
    (tmp_path / "t.json").write_text(text)
    options = given(folder, (0,), cameras=str(tmp_path / "t.json"))
    with pytest.raises(InputError, match=r"behind the camera.*--axes opencv"):
        run(options, tmp_path / "o")
    (done,) = run(replace(options, axes="opencv"), tmp_path / "o").done
    assert float(done.code[0]) == pytest.approx(float(TRUE[0]), abs=0.02)


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_wrong_unit_of_depth_is_named(factor, shots, tmp_path):
    views, folder = shots
    depth = words(rewritten(views[:1], tmp_path, factor))
    with pytest.raises(InputError, match="--depth-unit"):
        run(given(folder, depth=depth), tmp_path / "o")
    if factor > 1:
        (done,) = run(given(folder, depth=depth, depth_unit="mm"), tmp_path / "o").done
        assert float(done.code[0]) == pytest.approx(float(TRUE[0]), abs=0.02)


def test_files_that_do_not_fit_are_named(shots, tmp_path):
    folder = shots[1]
    blank(tmp_path / "small.png", 20, 30, 255)
    blank(tmp_path / "empty.png", 48, 56)
    write_depth(tmp_path / "depth_000.png", np.ones((20, 30)))
    write_depth(tmp_path / "depth_001.png", np.zeros((48, 56)))
    three = words(tmp_path / f"mask_{row}.png" for row in range(3))
    for row in range(3):
        blank(tmp_path / f"mask_{row}.png", 48, 56)
    for options, match in [
        (given(folder, depth=[str(tmp_path / "depth_000.png")]), "is 30 x 20, camera .* 56 x 48"),
        (given(folder, depth=[str(tmp_path / "depth_001.png")]), "no pixel has a depth"),
        (given(folder, masks=three), "mask is empty"),
        (given(folder, depth=["other.png"]), "belongs to no camera"),
        (given(folder, cameras=str(tmp_path / "none.json")), "cannot be read"),
        (given(folder, cameras=None), "--cameras"),
        (ViewOptions(), "nothing to reconstruct"),
        (ViewOptions(sensor=["0", "0", "1"]), "no scan"),
    ]:
        with pytest.raises(InputError, match=match) as error:
            run(options, tmp_path / "o")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("sensor", [["1", "2"], ["a", "b", "c"], ["nan", "0", "0"]])
def test_a_sensor_that_is_no_position_is_named(sensor, tmp_path):
    with pytest.raises(InputError, match="sensor="):
        seen_sources([Source("a", tmp_path)], ViewOptions(sensor=sensor))


def test_as_many_sensors_as_scans(tmp_path):
    (tmp_path / "at.txt").write_text("0 0 3\n1 2 3\n")
    with pytest.raises(InputError, match="2 positions for 1 scans"):
        seen_sources([Source("a", tmp_path)], ViewOptions(sensor=[str(tmp_path / "at.txt")]))
