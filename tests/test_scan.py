import numpy as np
import pytest
import torch

from shapespace.scan import Frame, Samples, Scan


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


def test_shapes_are_checked():
    with pytest.raises(Exception, match="points"):
        Scan(torch.arange(2), torch.randn(1, 4, 3), None, torch.rand(1, 4))
