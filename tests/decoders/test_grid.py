"""Features in grids: the interpolation at corners, between them and outside the box."""

import torch

from shapespace.decoders import GridMLP
from shapespace.decoders.derivatives import bytes_of_second_derivatives


def test_features_at_corners_and_between_them():
    made = GridMLP(0, 2, levels=1, cells=4, features=1, extent=2.0).double()
    with torch.no_grad():
        made.grids[0].copy_(torch.arange(25.0).reshape(5, 5, 1))
    # Corner (i, k) lies at (i - 2, k - 2) and has the number 5 i + k.
    corners = torch.cartesian_prod(torch.arange(5), torch.arange(5)).double()
    encoded, _ = made.encode(corners[None] - 2)
    torch.testing.assert_close(encoded[0, :, 2], (corners @ torch.tensor([5.0, 1.0]).double()))
    between = torch.tensor([[[0.25, -1.0]]]).double()
    t = 0.25
    share = 6 * t**5 - 15 * t**4 + 10 * t**3
    torch.testing.assert_close(made.encode(between)[0][0, 0, 2].item(), 5 * (2 + share) + 1)


def test_outside_the_box_it_takes_the_nearest_feature():
    made = GridMLP(0, 3, levels=2, cells=2, extent=1.0).double()
    with torch.no_grad():
        for grid in made.grids:
            grid.normal_()
    outside = torch.tensor([[[3.0, 0.2, -5.0]]]).double()
    nearest = torch.tensor([[[1.0, 0.2, -1.0]]]).double()
    found, expected = made.encode(outside)[0], made.encode(nearest)[0]
    torch.testing.assert_close(found[..., 3:], expected[..., 3:])
    slopes = made.encode(outside)[1]
    assert slopes[..., [0, 2]].eq(0).all() and slopes[..., 1].ne(0).any()


def test_a_change_in_one_cell_stays_there():
    made = GridMLP(0, 3, levels=1, cells=4, extent=1.0)
    points = torch.rand(1, 500, 3) * 2 - 1
    before = made(points, torch.zeros(1, 0))
    with torch.no_grad():
        made.grids[0][0, 0, 0] += 1.0
    moved = made(points, torch.zeros(1, 0)).ne(before)
    assert (points[moved] < -0.5).all()


def test_the_memory_of_a_point_does_not_count_the_corners_of_the_grids():
    assert bytes_of_second_derivatives(GridMLP(cells=64, levels=1)) == bytes_of_second_derivatives(
        GridMLP(cells=8, levels=1)
    )
