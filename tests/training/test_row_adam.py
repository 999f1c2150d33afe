"""Each row of a table moves as if it had an Adam of its own."""

import pytest
import torch

from shapespace.errors import InputError
from shapespace.training.optimisers import RowAdam


def sparse(rows, values, shape):
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, shape)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_a_row_moves_as_a_single_adam_moves_it(size):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, size, dtype=torch.float64, generator=generator)
    table = start.clone().requires_grad_()
    rows = [start[row].clone().requires_grad_() for row in range(6)]
    ours, theirs = RowAdam([table], 0.01), [torch.optim.Adam([row], 0.01) for row in rows]
    for _ in range(40):
        count = int(torch.randint(1, 5, (), generator=generator))
        visited = torch.randperm(5, generator=generator)[:count].tolist()
        values = torch.randn(count, size, dtype=torch.float64, generator=generator)
        table.grad = sparse(visited, values, table.shape)
        ours.step()
        for row, value in zip(visited, values, strict=True):
            rows[row].grad = value
            theirs[row].step()
    torch.testing.assert_close(table.detach(), torch.stack(rows).detach(), rtol=0, atol=1e-12)
    assert torch.equal(table[5], start[5])


def test_a_row_that_is_there_twice_is_one_visit_with_the_sum():
    one, two = (torch.zeros(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    one.grad = sparse([1, 1], torch.cat([value, value]), one.shape)
    two.grad = sparse([1], 2 * value, two.shape)
    for table in (one, two):
        RowAdam([table]).step()
    assert torch.equal(one, two)


def step_per_visit(make, every, visits=30):
    """How far a visit moves a code, in rates, when it comes every so many steps of equal sign."""
    table = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    optimiser, before = make([table]), 0.0
    for visit in range(visits):
        before = float(table[0])
        for step in range(every):
            row = 0 if step == 0 else 1
            gradient = sparse([row], torch.ones(1, 1, dtype=torch.float64), table.shape)
            table.grad = gradient if isinstance(optimiser, RowAdam) else gradient.to_dense()
            optimiser.step()
        assert visit < 0 or float(table[0]) < before
    return before - float(table[0])


@pytest.mark.parametrize(("every", "published"), [(1, 1.00), (8, 2.81), (97, 9.63)])
def test_a_visit_is_worth_a_rate_while_published_codes_move_on_between_visits(every, published):
    visits = 30 if every == 1 else 20000 // every
    ours = step_per_visit(lambda table: RowAdam(table, 1e-3), every, 30)
    dense = step_per_visit(lambda table: torch.optim.Adam(table, 1e-3), every, visits)
    assert ours == pytest.approx(1e-3, rel=1e-3)
    assert dense == pytest.approx(published * 1e-3, rel=2e-2)
    assert published == pytest.approx(((1 - 0.999**every) / 0.001) ** 0.5, rel=1e-2)


def test_the_state_is_plain_and_comes_back(tmp_path):
    table = torch.ones(3, 2, requires_grad=True)
    optimiser = RowAdam([table], 0.1)
    table.grad = sparse([2], torch.ones(1, 2), table.shape)
    optimiser.step()
    torch.save(optimiser.state_dict(), tmp_path / "state")
    again = RowAdam([table], 0.5)
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert again.state[table]["visits"].tolist() == [0, 0, 1]
    assert again.param_groups[0]["lr"] == 0.1


def test_a_rate_is_positive():
    with pytest.raises(InputError, match="lr=0"):
        RowAdam([torch.zeros(1, 1)], 0.0)
