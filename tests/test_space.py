import copy
import dataclasses
import inspect
import re
from dataclasses import replace
from functools import partial
from html import escape

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import KDTree

from shapespace.codes import LatentCodes
from shapespace.data.store.store import ScanStore
from shapespace.decoders import SkipMLP
from shapespace.errors import InputError
from shapespace.fitting import Pose, Search
from shapespace.fitting.terms import as_batch
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Frame, PreparedScan, rounded_normals
from shapespace.space import TrainedSpace


def space(latent_size=4, extent=1.5):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, width=64, depth=3, skip=2, radius=0.7)
    codes = LatentCodes(2, latent_size, init_std=0.01)
    codes.assign(("a", "b"), [Frame(np.array([5.0, 0, 0]), 10.0), Frame(np.zeros(3))])
    return TrainedSpace(
        decoder.eval().requires_grad_(False),
        codes.requires_grad_(False),
        IGR(),
        NearSurface(extent=extent),
    )


def prepared(name, num, normals=True):
    points = np.random.default_rng(0).normal(size=(num, 3)).astype(np.float32)
    unit = rounded_normals(points / np.linalg.norm(points, axis=1, keepdims=True))
    known, kind = (unit, "measured") if normals else (None, "none")
    frame = Frame(np.zeros(3))
    return PreparedScan(name, points, known, np.ones(num, np.float32), frame, "", "", 0, 0, 0, kind)


@pytest.mark.parametrize("latent_size", [0, 4])
def test_training_shapes_come_back_in_their_frames(latent_size):
    trained = space(latent_size)
    here, there = (trained.mesh(trained.code(n), trained.frame(n), 32) for n in ("b", "a"))
    assert here.is_watertight
    np.testing.assert_allclose(there.centroid - 10 * here.centroid, [5, 0, 0], atol=0.3)
    np.testing.assert_allclose(there.extents, 10 * here.extents, rtol=0.05)


def test_box_of_the_training_is_the_box_of_the_mesh():
    assert space(extent=0.9).extent == 0.9


def test_a_batch_has_the_same_number_of_points_of_every_scan():
    batch = as_batch([prepared("a", 80), prepared("b", 60, normals=False)], 50)
    assert batch.points.shape == (2, 50, 3)
    assert batch.normals is not None and not batch.normals[1].any()
    assert as_batch([prepared("a", 80)], 100).points.shape == (1, 80, 3)
    with pytest.raises(ValueError, match=r"\[60, 80\]"):
        as_batch([prepared("a", 80), prepared("b", 60)], 100)


def test_fit_leaves_the_space_alone():
    trained = space()
    before = [p.clone() for p in (*trained.decoder.parameters(), *trained.codes.parameters())]
    scans = [prepared("x", 100), prepared("y", 90)]
    for fit in (trained.fit, partial(trained.fit_reference, steps=3)):
        result = fit(scans, num_points=64)
        assert result.terms.keys() == {"surface", "normal", "eikonal", "latent"}
        assert result.distances.shape == (2, 64)
    assert result.codes.shape == (2, 4)
    after = (*trained.decoder.parameters(), *trained.codes.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert not any(p.requires_grad for p in after)


def test_loaded_from_a_checkpoint_it_is_what_was_trained(toy_checkpoint):
    trained = TrainedSpace.load(toy_checkpoint)
    content = torch.load(toy_checkpoint, weights_only=True)
    weight = content["state_dict"]["codes.table.weight"]
    assert torch.equal(trained.code(trained.names[1]), weight[1])
    assert trained.unit == "m" and trained.path == toy_checkpoint
    with pytest.raises(InputError, match="not one of the"):
        trained.code("nobody")


def test_a_loaded_space_is_frozen_and_exact(toy_checkpoint):
    trained = TrainedSpace.load(toy_checkpoint)
    parts = (trained.decoder, trained.codes)
    assert not any(weight.requires_grad for part in parts for weight in part.parameters())
    assert not trained.decoder.training and trained.decoder.precision == "float32"


def test_the_constructor_leaves_its_arguments_alone():
    frozen, options = space(), {"latent_size": 4, "width": 64, "depth": 3, "skip": 2}
    decoder = SkipMLP(**options, precision="mixed").train()
    decoder.load_state_dict(frozen.decoder.state_dict())
    codes = copy.deepcopy(frozen.codes).requires_grad_(True)
    trained = TrainedSpace(decoder, codes, IGR(), NearSurface(extent=1.5))
    assert trained.decoder is decoder and trained.codes is codes
    assert decoder.training and decoder.precision == "mixed"
    assert all(weight.requires_grad for part in (decoder, codes) for weight in part.parameters())
    mesh, same = (each.mesh(each.code("a"), resolution=16) for each in (trained, frozen))
    np.testing.assert_array_equal(mesh.vertices, same.vertices)
    found, same = (each.fit([prepared("x", 100)]) for each in (trained, frozen))
    assert torch.equal(found.codes, same.codes) and not found.codes.requires_grad


def test_lightning_rebuilds_it_with_weights_only(toy_checkpoint):
    from shapespace.training.module import ShapeSpace

    module = ShapeSpace.load_from_checkpoint(toy_checkpoint, weights_only=True)
    trained = TrainedSpace.load(toy_checkpoint)
    points = torch.randn(1, 5, 3)
    code = trained.code(trained.names[0])[None]
    assert torch.equal(module.decoder(points, code), trained.decoder(points, code))
    assert module.codes.names == trained.names


@pytest.mark.parametrize("cell", [None, 1.0])
def test_a_mesh_is_taken_back_through_pose_and_frame(cell):
    trained = space()
    frame = Frame(np.array([5.0, -2.0, 1.0]), 10.0)
    step = torch.tensor([[0.1, -0.2, 0.05, 0.3, 0.5, -0.4, 0.2]])
    pose = Pose.identity(1, torch.zeros(1, 3)).moved(step, "similarity")
    inside = None if cell is None else cell * pose.scale.item() / frame.scale
    plain = trained.mesh(trained.code("a"), resolution=24, cell=inside)
    placed = trained.mesh(trained.code("a"), frame, 24, cell, pose)
    local = torch.from_numpy(frame.to_store(np.asarray(placed.vertices))).float()[None]
    np.testing.assert_allclose(pose(local)[0], plain.vertices, atol=1e-5)
    np.testing.assert_array_equal(placed.faces, plain.faces)
    assert placed.is_watertight and placed.volume > 0


def test_a_scan_that_stands_turned_is_reconstructed_where_it_is():
    trained = space(0)
    mesh = trained.mesh(trained.code("a"), resolution=48)
    points = trimesh.sample.sample_surface(mesh, 3000, seed=0)[0].astype(np.float32)
    points -= points.mean(0)
    scan = dataclasses.replace(prepared("x", 3000, normals=False), points=points)
    turn = trimesh.transformations.rotation_matrix(2.0, [0.1, 1, 0])[:3, :3].astype(np.float32)
    turned = dataclasses.replace(scan, points=points @ turn.T)
    result = trained.fit([turned], search=Search(freedom="rigid"))
    assert result.distances.median() < 5e-3
    found = trained.mesh(result.codes[0], scan.frame, 48, pose=result.poses)
    nearest = KDTree(found.vertices).query(turned.points)[0]
    assert np.median(nearest) < 0.03


def test_weights_and_names_that_are_none_are_refused(toy_checkpoint, tmp_path):
    content = torch.load(toy_checkpoint, weights_only=True)
    weight, table = "decoder.layers.1.weight", "codes.table.weight"
    scans = content["state_dict"]["codes._extra_state"]
    first = scans["names"][0]
    nan = torch.full_like(content["state_dict"][weight], float("nan"))
    for change, said in (
        ({weight: nan}, "layers.1.weight holds numbers that are not finite"),
        ({table: content["state_dict"][table] / 0}, "table.weight holds numbers that are not"),
        ({weight: nan.nan_to_num().int()}, "layers.1.weight holds int32, not float32"),
        ({weight: nan.nan_to_num().to(torch.complex64)}, "holds complex64, not float32"),
        ({table: content["state_dict"][table].int()}, "is not a table of codes"),
        ({"codes._extra_state": {**scans, "names": [first] * 4}}, f"two scans have .* {first!r}"),
        (
            {"codes._extra_state": {key: value[:3] for key, value in scans.items()}},
            "names 3 scans but has 4 codes",
        ),
        ({"codes._extra_state": {**scans, "scales": [1.0, 0.0, 1.0, 1.0]}}, "scale of scan 'egg'"),
    ):
        torch.save(content | {"state_dict": content["state_dict"] | change}, tmp_path / "x.ckpt")
        with pytest.raises(InputError, match=said):
            TrainedSpace.load(tmp_path / "x.ckpt")


def test_the_constructor_refuses_them_too():
    good = space()
    parts = good.objective, good.sampler
    for names in (("a", "a"), ("a",), ()):
        codes = copy.deepcopy(good.codes)
        codes.names = names
        with pytest.raises(InputError, match=r"the name 'a'|2 codes need as many scans"):
            TrainedSpace(good.decoder, codes, *parts)
    decoder = copy.deepcopy(good.decoder)
    decoder.linears()[0].bias[0] = float("inf")
    with pytest.raises(InputError, match=r"layers\.0\.bias holds numbers that are not finite"):
        TrainedSpace(decoder, good.codes, *parts)


def test_manners_in_a_notebook(toy_checkpoint, toy_store, monkeypatch):
    space, store = TrainedSpace.load(toy_checkpoint), ScanStore(toy_store)
    assert repr(space) == "TrainedSpace(4 shapes, 3-D, code length 8, unit m, box ±1.8)"
    assert len(space) == 4 and list(space) == list(store) == list(space.names)
    assert "egg" in space and "none" not in space
    torch.testing.assert_close(space["egg"], space.code("egg"), rtol=0, atol=0)
    with pytest.raises(InputError, match="the nearest is 'egg'"):
        space["eg"]
    assert repr(store) == f"ScanStore({toy_store}: 4 scans, 3-D, unit m)"
    scan = store["egg"]
    assert repr(scan) == "PreparedScan('egg', 600 points, 3-D, normals measured)"
    batch = as_batch([scan, store["ball"]], 64)
    assert repr(batch) == "Scan(2 of 64 points, 3-D, normals and sigma, cpu)"
    assert repr(replace(batch, normals=None, sigma=None)).endswith("3-D, points alone, cpu)")
    fitted = space.fit([scan], num_points=64)
    assert re.fullmatch(
        r"FitResult\(1 scan, code length 8, pose \w+, [01] converged, [0-9.]+ s\)", repr(fitted)
    )
    for each in (space, store, scan, batch, fitted):
        assert each._repr_html_() == f"<code>{escape(repr(each))}</code>"
    for method in (space.fit, space.refined, space.fit_reference):
        assert "lambda" not in str(inspect.signature(method))
    shown = []
    monkeypatch.setattr(trimesh.Trimesh, "show", lambda mesh: shown.append(mesh) or "view")
    assert space.show("egg", 16) == space.show(space["egg"], 16) == "view"
    np.testing.assert_array_equal(shown[0].vertices, shown[1].vertices)
    monkeypatch.setattr(trimesh.Trimesh, "show", lambda mesh: 1 / 0)
    with pytest.raises(InputError, match=r"no viewer .*install pyglet"):
        space.show("egg", 16)
