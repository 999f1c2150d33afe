from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from shapespace.sampling import NearSurface, Sampler, samples_of_visits
from shapespace.scan import Frame, Samples, Scan, TargetSamples


def scan(normals, index=0, num=4):
    points = torch.randn(1, num, 3)
    known = torch.nn.functional.normalize(points, dim=-1) if normals else None
    return Scan(torch.tensor([index]), points, known, torch.rand(1, num))


def test_frame_goes_there_and_back():
    frame = Frame(np.array([1e6, -2.0, 3.0]), 1000.0)
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(frame.to_store(frame.to_source(points)), points, atol=1e-12)
    np.testing.assert_allclose(frame.to_source(np.zeros((1, 3)))[0], frame.centre)


def test_scans_with_and_without_normals_share_a_batch():
    batch = Scan.cat([scan(True, 5), scan(False, 6)])
    assert batch.index.tolist() == [5, 6]
    assert batch.normals is not None
    assert batch.normals[0].norm(dim=-1).min() > 0.99
    assert not batch.normals[1].any()
    assert Scan.cat([scan(False), scan(False)]).normals is None


def test_rows_of_a_batch_are_its_scans():
    parts = [scan(True, index) for index in range(3)]
    batch = Scan.cat(parts)
    assert torch.equal(batch[1:2].points, parts[1].points)
    assert batch[1:3].index.tolist() == [1, 2]


def test_another_precision_leaves_the_index_alone():
    double = scan(True).to(torch.float64)
    assert double.points.dtype == double.sigma.dtype == torch.float64
    assert double.index.dtype == torch.int64


def test_samples_are_cut_and_joined():
    samples = Samples(torch.randn(3, 4, 2), torch.randn(3, 4, 2), torch.randn(3, 5, 2))
    joined = Samples.cat([samples[0:1], samples[1:3]])
    assert torch.equal(joined.space, samples.space)
    assert joined.num_points == 9


def targets(num=3, signed=True, gradient=True):
    distance = torch.randn(num, 6) if signed else torch.rand(num, 6)
    slope = torch.nn.functional.normalize(torch.randn(num, 6, 3), dim=-1) if gradient else None
    return TargetSamples(torch.randn(num, 6, 3), distance, slope, signed)


def test_targets_go_where_their_scans_go():
    whole = replace(Scan.cat([scan(True, row) for row in range(3)]), targets=targets())
    parts = Scan.cat([whole[2:3], whole[0:2]]).pick([1, 2, 0])
    for one, two in zip(vars(whole.targets).values(), vars(parts.targets).values(), strict=True):
        assert one is two if isinstance(one, bool) else torch.equal(one, two)
    assert whole.to(torch.float64).targets.distance.dtype == torch.float64
    assert not whole.emptied().targets.distance.any() and whole.emptied().targets.signed
    assert Scan.cat([whole[:1], scan(True)]).targets is None


def test_targets_of_both_kinds_share_a_batch_as_unsigned():
    both = TargetSamples.cat([targets(1), targets(1, signed=False, gradient=False)])
    assert not both.signed and both.gradient is None and (both.distance >= 0).all()
    one = targets(2)
    back = one.unsigned()
    assert torch.equal(back.distance, one.distance.abs())
    assert torch.equal(back.gradient * one.distance.sign()[..., None], one.gradient)
    assert back.unsigned() is back


@dataclass(frozen=True)
class Coloured(Samples):
    """Samples with something of their own."""

    colour: torch.Tensor | None = None


class Painting(Sampler):
    """A sampler that knows no targets."""

    def __call__(self, scan, generator):
        return Coloured(scan.points, None, scan.points[:, :1], colour=scan.points[..., 0])


def test_samples_carry_targets_and_what_a_subclass_adds():
    batch = replace(Scan.cat([scan(True, row) for row in range(3)]), targets=targets())
    for sampler in (NearSurface(0.1), Painting()):
        drawn = samples_of_visits(sampler, batch, seed=0, visits=[4, 5, 6])
        assert torch.equal(drawn.targets.distance, batch.targets.distance)
        assert drawn.num_points == drawn.surface.shape[1] + drawn.space.shape[1] + 6
        assert torch.equal(drawn[1:2].targets.points, batch.targets.points[1:2])
    assert isinstance(drawn[1:2], Coloured) and torch.equal(drawn[1:2].colour, drawn.colour[1:2])


def test_shapes_are_checked():
    with pytest.raises(Exception, match="points"):
        Scan(torch.arange(2), torch.randn(1, 4, 3), None, torch.rand(1, 4))
