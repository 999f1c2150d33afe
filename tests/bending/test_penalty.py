"""The bending energy as a penalty: its samples, its descent, and a training that has it."""

import numpy as np
import pytest
import torch

from shapespace.bending.energy import completed
from shapespace.bending.meshed import zero_samples
from shapespace.bending.penalty import (
    BendingPenalty,
    penalty_of,
    place_between,
    scattered_samples,
)
from shapespace.bending.samples import normal_velocity
from shapespace.checkpoint import read_checkpoint
from shapespace.decoders.mlp import SkipMLP
from shapespace.errors import InputError
from shapespace.training.statistics import METRICS, read_metrics
from shapespace.utils.schedules import RunProgress
from tests.bending.test_term import made
from tests.exact import bending_capsule, two_spheres
from tests.training.test_cli import assert_equal, assert_same_run

ON = ["--model.bending=0.01", "--model.bending_every=2"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def on_sphere(count=600):
    drawn = torch.randn(count, 3, generator=generator(5)).double()
    return drawn / drawn.norm(dim=1, keepdim=True)


def test_parts_that_the_scan_does_not_have_are_sampled_too():
    field, code = two_spheres(1.0, (0.4, 0.2)), torch.zeros(0).double()
    points = 0.4 * on_sphere()
    found = scattered_samples(field, code, points=points, extent=1.5, generator=generator())
    distance = np.linalg.norm(found.points, axis=1)
    other = np.linalg.norm(found.points - [1.0, 0, 0], axis=1)
    off = np.minimum(np.abs(distance - 0.4), np.abs(other - 0.2))
    np.testing.assert_allclose(off, 0, atol=1e-3)
    assert 20 < (other < 0.3).sum() < len(found.points) / 2


def test_energy_is_that_of_samples_of_a_mesh():
    code, way = (torch.tensor(each).double() for each in ([1.0], [1.0]))
    field = bending_capsule()
    near = torch.from_numpy(zero_samples(field, 0.9 * code, count=600, extent=1.0).points)
    energies = []
    for samples in (
        zero_samples(field, code, count=400, extent=1.0),
        scattered_samples(field, code, points=near, extent=1.0, generator=generator()),
    ):
        speed = normal_velocity(field, code, way, samples.points)
        energies.append(completed(samples, speed).energy)
    assert energies[1] == pytest.approx(energies[0], rel=0.15)


def test_a_place_lies_on_the_way_to_another_scan():
    table = torch.randn(6, 4, generator=generator())
    for seed in range(20):
        latent, way = place_between(table, 2, generator(seed))
        ends = [row for row in range(6) if torch.allclose(table[2] + way, table[row])]
        assert len(ends) == 1 and ends != [2]
        share = float((latent - table[2]).norm() / way.norm())
        assert 0 <= share <= 1
        torch.testing.assert_close(latent, table[2] + share * way)


def penalised(decoder, table, row=0, visit=4):
    penalty = BendingPenalty(1.0, 2, seed=0)
    options = {"row": row, "visit": visit, "points": on_sphere(), "extent": 2.0}
    return penalty.of_visit(decoder, table, **options)


def test_descent_lowers_the_energy():
    decoder, code, direction = made()
    table = torch.stack([code, code + direction])
    optimiser = torch.optim.Adam(decoder.parameters(), 1e-3)
    values = []
    for _ in range(12):
        optimiser.zero_grad()
        value = penalised(decoder, table)
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]


def test_a_step_adds_the_visits_whose_turn_it_is():
    decoder, code, direction = made()
    table = torch.stack([code, code + direction])
    penalty, parts = BendingPenalty(0.5, 2, seed=0), []
    found = penalty.of_step(
        decoder,
        table,
        visits=[(0, 3), (1, 4), (0, 6)],
        weights=[0.25, 0.25, 0.0],
        points=torch.stack([on_sphere()] * 3),
        extent=2.0,
        progress=RunProgress(),
        backward=parts.append,
    )
    one = penalised(decoder, table, row=1, visit=4)
    assert [float(part) for part in parts] == [pytest.approx(0.25 * 0.5 * 2 * float(one))]
    assert float(found["loss"]) == pytest.approx(0.25 * float(one))
    assert float(found["bending"]) == pytest.approx(0.5 * float(one))


def test_the_same_visit_sees_the_same():
    decoder, code, direction = made()
    table = torch.stack([code, code + direction, code - direction]).requires_grad_()
    first, again = penalised(decoder, table), penalised(decoder, table)
    assert torch.equal(first, again)
    assert not torch.equal(first, penalised(decoder, table, visit=6))
    first.backward()
    assert table.grad is None, "codes are held"


def test_where_nothing_moves_nothing_is_learnt():
    decoder, code, _ = made()
    for table in (code[None], torch.stack([code, code])):
        found = penalised(decoder, table)
        assert float(found) == 0 and not found.requires_grad
    nothing = SkipMLP(0, width=16, depth=2, skip=0).double()
    assert float(penalised(nothing, torch.zeros(3, 0).double())) == 0


def test_weights():
    decoder = SkipMLP(2, width=16, depth=2, skip=0)
    assert penalty_of(0.0, 32, seed=0, decoder=decoder) is None
    assert penalty_of("0", 32, seed=0, decoder=decoder) is None
    ramp = penalty_of("linear 0 0.1 from 0.2 to 0.4", 4, seed=0, decoder=decoder)
    assert ramp is not None
    assert [ramp.factor(RunProgress(share)) for share in (0.1, 0.4)] == [0.0, 0.4]
    with pytest.raises(InputError, match=r"bending=-1\.0: give 0 or more"):
        penalty_of(-1.0, 32, seed=0, decoder=decoder)
    with pytest.raises(InputError, match="bending_every=0: give at least 1"):
        penalty_of(1.0, 0, seed=0, decoder=decoder)
    flat = SkipMLP(2, dimension=2, width=16, depth=2, skip=0)
    with pytest.raises(InputError, match="of 3-D shapes, and the decoder has dimension=2"):
        penalty_of(1.0, 32, seed=0, decoder=flat)


def test_weight_0_changes_nothing(train, tmp_path):
    plain = read_checkpoint(train(tmp_path / "plain", 2))
    none = read_checkpoint(train(tmp_path / "none", 2, "--model.bending=0"))
    for part in ("state_dict", "optimizer_states"):
        assert_equal(plain[part], none[part])


def test_a_resumed_run_repeats_the_rest(train, tmp_path):
    whole = train(tmp_path / "whole", 4, *ON)
    train(tmp_path / "run", 2, *ON)
    assert_same_run(whole, train(tmp_path / "run", 4, *ON))
    rows = read_metrics(whole.with_name(METRICS))
    assert all(float(row["bending"]) > 0 for row in rows[1:])
