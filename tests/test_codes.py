import numpy as np
import pytest
import torch

from shapespace.codes import LatentCodes
from shapespace.errors import InputError
from shapespace.scan import Frame


def codes(latent_size=4, names=("anna", "bert", "carl"), **options):
    table = LatentCodes(len(names), latent_size, **options)
    table.assign(names, [Frame(np.array([k, 0.0, 0.5]), 1.0 + k) for k in range(len(names))])
    return table


@pytest.mark.parametrize("latent_size", [0, 4])
def test_only_the_rows_of_the_batch_move(latent_size):
    table = codes(latent_size, init_std=0.1)
    before = table.table.weight.detach().clone()
    optimiser = torch.optim.SparseAdam(table.parameters(), 0.5)
    for _ in range(3):
        optimiser.zero_grad()
        table(torch.tensor([1])).square().sum().backward()
        optimiser.step()
    moved = (table.table.weight - before).abs().sum(1) > 0
    assert moved.tolist() == [False, latent_size > 0, False]


def test_initial_codes_are_zero_or_of_the_given_spread():
    assert not codes().table.weight.any()
    large = LatentCodes(500, 64, init_std=0.1, seed=3).table.weight
    assert abs(large.std() - 0.1) < 0.005
    assert torch.equal(large, LatentCodes(500, 64, init_std=0.1, seed=3).table.weight)


def test_names_and_frames_survive_as_plain_data(tmp_path):
    table = codes()
    torch.save(table.state_dict(), tmp_path / "codes")
    again = LatentCodes(3, 4)
    again.load_state_dict(torch.load(tmp_path / "codes", weights_only=True))
    assert again.names == ("anna", "bert", "carl")
    np.testing.assert_array_equal(again.frames[2].centre, [2, 0, 0.5])
    assert again.frames[2].scale == 3.0


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="the nearest is 'bert'"):
        codes().row("berta")
    assert codes().row("carl") == 2


def test_other_scans_are_refused_on_a_resume():
    with pytest.raises(InputError, match="other scans"):
        codes().assign(("anna", "bert", "dora"), codes().frames)


def test_codes_go_along_where_the_scans_come_in_another_order():
    table = codes(init_std=0.1)
    before = {
        name: (table.table.weight[row].clone(), table.frames[row])
        for row, name in enumerate(table.names)
    }
    order = ("carl", "anna", "bert")
    table.assign(order, [before[name][1] for name in order])
    assert table.names == order
    for row, name in enumerate(order):
        assert torch.equal(table.table.weight[row], before[name][0])
        assert table.frames[row] is before[name][1]


def test_other_shapes_under_the_same_names_are_refused_on_a_resume():
    table = codes()
    table.assign(table.names, table.frames)
    moved = [Frame(frame.centre + 1.0, frame.scale) for frame in table.frames]
    with pytest.raises(InputError, match="'anna' is not the one"):
        table.assign(table.names, moved)
    resampled = [Frame(frame.centre + 0.001, frame.scale) for frame in table.frames]
    table.assign(table.names, resampled)
