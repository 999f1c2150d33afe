"""Turns of a cube: laws, the comparison against plain loops, planted turns of people."""

import numpy as np
import pytest

from shapespace.data.check.rotations import (
    CELLS,
    MIN_SCANS,
    all_fits,
    axis_before,
    find_rotated,
    occupancy,
    rotation_in_words,
    rotations,
)


@pytest.fixture(scope="module")
def people(meshes):
    return [mesh.sample(8000, seed=i) for i, mesh in enumerate(meshes.values())]


@pytest.mark.parametrize(("dimension", "count"), [(2, 4), (3, 24)])
def test_rotations_are_a_group(dimension, count):
    turns = rotations(dimension)
    assert turns.shape == (count, dimension, dimension)
    np.testing.assert_array_equal(turns[0], np.eye(dimension))
    known = {turn.tobytes() for turn in turns}
    assert len(known) == count
    assert {(a @ b).tobytes() for a in turns for b in turns} == known
    assert all(np.linalg.det(turn) == pytest.approx(1) for turn in turns)


def dense(scan):
    grid = np.zeros((CELLS,) * scan.dimension)
    for cell, root in zip(scan.cells, scan.roots, strict=True):
        grid[np.unravel_index(int(cell), grid.shape)] = root
    return grid


def turned_by_loops(grid, turn):
    result = np.zeros_like(grid)
    for cell in np.argwhere(grid):
        there = (turn @ (2 * cell - (CELLS - 1)) + CELLS - 1) // 2
        result[tuple(there)] = grid[tuple(cell)]
    return result


@pytest.mark.parametrize("dimension", [2, 3])
def test_fits_are_correlations_of_turned_grids(dimension):
    rng = np.random.default_rng(0)
    scans = [occupancy(rng.normal(size=(300, dimension)) * [1, 2, 3][:dimension]) for _ in range(3)]
    turns = rotations(dimension)
    fits = all_fits(scans, turns)
    grids = [dense(scan) for scan in scans]
    for i in range(3):
        others = sum(grids[j] for j in range(3) if j != i)
        for t, turn in enumerate(turns):
            turned = turned_by_loops(grids[i], turn)
            slow = np.corrcoef(turned.ravel(), others.ravel())[0, 1]
            assert fits[i, t] == pytest.approx(slow, abs=1e-9)


def test_turning_points_turns_the_grid():
    points = np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 3]
    for turn in rotations(3):
        grid = dense(occupancy(points @ turn.T))
        np.testing.assert_allclose(grid, turned_by_loops(dense(occupancy(points)), turn))


def test_words():
    turns = {rotation_in_words(turn): turn for turn in rotations(3)[1:]}
    assert len(turns) == 23
    assert turns["by 90 degrees about x"] @ [0, 1, 0] == pytest.approx([0, 0, 1])
    assert turns["by -90 degrees about z"] @ [1, 0, 0] == pytest.approx([0, -1, 0])
    assert turns["by 180 degrees about y"] @ [1, 2, 3] == pytest.approx([-1, 2, -3])
    assert turns["by 120 degrees about (1, 1, 1)"] @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert axis_before(turns["by -90 degrees about x"], 1) == "z"
    plane = {rotation_in_words(turn): turn for turn in rotations(2)[1:]}
    assert plane["by 90 degrees"] @ [1, 0] == pytest.approx([0, 1])
    assert {"by -90 degrees", "by 180 degrees"} < set(plane)


def rodrigues(text):
    """The rotation that ``rotation_in_words`` described, by its definition."""
    angle, about = text.removeprefix("by ").split(" degrees about ")
    if about in "xyz":
        axis = np.eye(3)["xyz".index(about)]
    else:
        axis = np.array([float(x) for x in about.strip("()").split(", ")])
    axis, angle = axis / np.linalg.norm(axis), np.radians(float(angle))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_words_describe_the_turn():
    for turn in rotations(3)[1:]:
        np.testing.assert_allclose(rodrigues(rotation_in_words(turn)), turn, atol=1e-12)


def test_people_in_all_poses_are_not_turned(people):
    assert find_rotated([occupancy(points) for points in people]) == []


@pytest.mark.parametrize(
    "turn", [t for t in rotations(3) if np.trace(t) == 1], ids=rotation_in_words
)
def test_planted_right_angles_are_undone(people, turn):
    found = 0
    for i in range(len(people)):
        scans = [occupancy(p @ turn.T if j == i else p) for j, p in enumerate(people)]
        turned = find_rotated(scans)
        assert all(t.scan == i for t in turned)
        found += any((t.rotation == turn.T).all() for t in turned)
    facing = turn[1, 1] == 1
    assert found >= len(people) - (2 if facing else 0)


def test_sets_too_small_or_too_different_have_no_orientation(people):
    few = [occupancy(points) for points in people[: MIN_SCANS - 1]]
    assert find_rotated(few) == [] == find_rotated([])
    rng = np.random.default_rng(0)
    mixed = [
        occupancy(rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))) for _ in range(MIN_SCANS)
    ]
    assert find_rotated(mixed) == []
