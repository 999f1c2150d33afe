"""Copies of scans obey their laws, and a training with them resumes and shares its work exactly."""

import numpy as np
import pytest
import torch

from shapespace.data.copies import Copy, CopyOptions, Points, Warp, warped
from shapespace.data.names import subjects_of
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.training.datamodule import ScanData
from tests.training.test_datamodule import batches

MIRROR = CopyOptions(mirror="y", warps=2, strain=0.3)


def sphere(count=200, dimension=3):
    directions = np.random.default_rng(0).normal(size=(count, dimension))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def points_of(dimension=3):
    normals = sphere(dimension=dimension)
    return Points(1.3 * normals, normals, np.full(len(normals), 0.02))


def drawn(dimension=3, strain=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return Warp.drawn(rng, dimension, strain=strain, wavelength=0.8)


def in_torch(warp, points):
    """The map again, for autograd."""
    amplitudes, numbers, phases = (torch.from_numpy(part) for part in warp)
    return points + torch.sin(points @ numbers.T + phases) @ amplitudes


@pytest.mark.parametrize("axis", "xyz")
def test_mirrored_twice_is_the_same(axis):
    given = points_of()
    options = CopyOptions(mirror=axis)
    once = options.mirrored(given)
    twice = options.mirrored(once)
    for before, after in zip(given, twice, strict=True):
        np.testing.assert_array_equal(before, after)
    row = "xyz".index(axis)
    np.testing.assert_array_equal(once.points[:, row], -given.points[:, row])
    assert (once.points * once.normals).sum(1) == pytest.approx(1.3), "normals stay outward"


@pytest.mark.parametrize("dimension", [2, 3])
def test_normals_of_a_warped_sphere_are_those_of_autograd(dimension):
    """f(W^-1(y)) has the gradient J^-T grad f, with J from autograd."""
    given = points_of(dimension)
    warp = drawn(dimension)
    found = warped(warp, given)
    at = torch.from_numpy(given.points).requires_grad_()
    moved = in_torch(warp, at)
    np.testing.assert_allclose(found.points, moved.detach().numpy(), atol=1e-12)
    each = [moved[:, k].sum() for k in range(dimension)]
    rows = [torch.autograd.grad(one, at, retain_graph=True)[0] for one in each]
    jacobian = torch.stack(rows, 1)
    np.testing.assert_allclose(warp.jacobian(given.points), jacobian.numpy(), atol=1e-12)
    (slope,) = torch.autograd.grad(torch.linalg.vector_norm(at, dim=1).sum(), at)
    want = torch.linalg.solve(jacobian.mT, slope[..., None])[..., 0]
    want = want / want.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found.normals, want.numpy(), atol=1e-12)


def test_the_strain_is_bounded_and_nothing_folds():
    points = np.random.default_rng(1).uniform(-2, 2, (4000, 3))
    for seed in range(5):
        warp = drawn(strain=0.4, seed=seed)
        stretches = np.linalg.svd(warp.jacobian(points), compute_uv=False)
        assert stretches.min() >= 0.6 and stretches.max() <= 1.4
        assert np.abs(stretches - 1).max() > 0.05, "it is a warp"
        one, two = points[:2000], points[2000:]
        ratio = np.linalg.norm(warp(one) - warp(two), axis=1) / np.linalg.norm(one - two, axis=1)
        assert ratio.min() >= 0.6 and ratio.max() <= 1.4


def test_unknown_normals_and_missing_parts_stay():
    given = points_of()
    given.normals[0] = 0
    found = warped(drawn(), given)
    assert not found.normals[0].any() and np.isfinite(found.normals).all()
    assert (found.sigma > 0).all() and (found.sigma != given.sigma).any()
    bare = warped(drawn(), Points(given.points, None, None))
    assert bare.normals is None and bare.sigma is None
    empty = warped(drawn(), Points(np.zeros((0, 3)), np.zeros((0, 3)), None))
    assert empty.points.shape == (0, 3)


def test_a_copy_depends_on_its_scan_and_seed_alone():
    given = points_of()
    one = MIRROR.applied(Copy("a", True, 1), given, 7)
    np.testing.assert_array_equal(one.points, MIRROR.applied(Copy("a", True, 1), given, 7).points)
    for copy, seed in ((Copy("b", True, 1), 7), (Copy("a", True, 2), 7), (Copy("a", True, 1), 8)):
        assert (MIRROR.applied(copy, given, seed).points != one.points).any()
    np.testing.assert_array_equal(MIRROR.applied(Copy("a"), given, 7).points, given.points)


def test_names_say_what_a_copy_is():
    names = [copy.name for copy in MIRROR.of(["a", "b"])]
    assert names[:4] == ["a", "b", "a~mirror", "b~mirror"]
    assert names[-2:] == ["a~mirror~warp2", "b~mirror~warp2"] and len(names) == 2 * MIRROR.num
    assert subjects_of(["anna_run_000001~mirror~warp2"]) == ["anna"]


def test_what_cannot_be_is_refused(toy_store):
    with pytest.raises(InputError, match="strain=1: give less than 1"):
        CopyOptions(strain=1.0)
    with pytest.raises(InputError, match="mirror=z: scans of dimension 2"):
        CopyOptions(mirror="z").check_dimension(2)
    with pytest.raises(InputError, match="'a~mirror': is a scan, and would be the name of a copy"):
        MIRROR.of(["a", "a~mirror"])


def test_windows_of_copies_are_the_copies_of_windows(toy_store):
    store = ScanStore(toy_store)
    data = ScanData(str(toy_store), None, 4, 50, shuffle=False, copies=MIRROR)
    assert data.num_scans == len(data.frames) == 24
    assert data.frames[4] is not None and data.frames[4].is_near(store.frame("ball"))
    for scan in batches(data):
        for row, index in enumerate(scan.index.tolist()):
            copy = MIRROR.of(store.names)[index]
            assert copy.name == data.names[index]
            points, normals, sigma = store.read(copy.source)
            want = MIRROR.applied(copy, Points(points, normals, sigma), data.seed)
            # A window is a run of the scan's points.
            place = np.abs(want.points - scan.points[row, 0].numpy()).sum(1).argmin()
            order = np.arange(place, place + 50) % len(points)
            for part, whole in zip((scan.points, scan.normals), want[:2], strict=True):
                np.testing.assert_allclose(part[row].numpy(), whole[order], atol=2e-6)


def test_tied_copies_take_turns_under_one_code(toy_store):
    options = CopyOptions(mirror="x", warps=1, tied=True)
    data = ScanData(str(toy_store), None, 4, 50, repeats=20, copies=options)
    plain = ScanData(str(toy_store), None, 4, 50, repeats=20)
    assert data.names == plain.names and data.num_scans == 4
    mine, other = batches(data), batches(plain)
    same = [
        torch.equal(a.points[row], b.points[row])
        for a, b in zip(mine, other, strict=True)
        for row in range(4)
    ]
    assert 5 < sum(same) < 40, "one of four shapes is the scan itself"
    for a, b in zip(mine, batches(data), strict=True):
        assert torch.equal(a.points, b.points)
