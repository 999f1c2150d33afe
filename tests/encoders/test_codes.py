"""Codes from an encoder: each scan for itself, trained, resumed, kept by name, a fit's guess."""

import dataclasses

import pytest
import torch

from shapespace.codes import LatentCodes
from shapespace.data.store.store import ScanStore
from shapespace.decoders.mlp import SkipMLP
from shapespace.encoders.codes import CodeOptions, EncodedCodes, codes_of
from shapespace.encoders.pointnet import FIRST_LOG_DEVIATION, PointNet
from shapespace.errors import InputError
from shapespace.fitting.search import Search, Stage
from shapespace.space import TrainedSpace

ENCODER = [
    "--model.encoder=shapespace.encoders.PointNet",
    "--model.encoder.latent_size=8",
    "--model.encoder.width=16",
    "--model.encoder.depth=2",
]


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_scan_is_encoded_for_itself_and_in_any_order(dimension):
    encoder = PointNet(5, dimension, width=12, depth=2, variational=True).double()
    points = torch.randn(3, 20, dimension).double()
    mean, spread = encoder(points)
    assert mean.shape == spread.shape == (3, 5)
    alone, _ = encoder(points[1:2, torch.randperm(20)])
    torch.testing.assert_close(alone, mean[1:2])
    torch.testing.assert_close(
        spread.mean(), torch.tensor(FIRST_LOG_DEVIATION).double(), atol=1, rtol=0
    )
    expected = mean.abs().mean(1) + (spread + 1).abs().mean(1)
    torch.testing.assert_close(encoder.penalty(mean, spread), expected)
    assert PointNet(5, dimension, width=4)(points.float())[1] is None


def test_draws_depend_on_the_visit_and_a_table_keeps_the_means():
    codes = EncodedCodes(6, PointNet(4, width=8, depth=1, variational=True), seed=1)
    points = torch.randn(3, 9, 3)
    index = torch.tensor([4, 1, 4])
    latent, more = codes.of_batch(index, points, [10, 11, 12])
    codes.begin()
    parts = [codes.of_batch(index[r : r + 1], points[r : r + 1], [10 + r])[0] for r in range(3)]
    torch.testing.assert_close(torch.cat(parts), latent)
    assert more["encoder"].shape == (3,)
    codes.settle(None, lambda part: part[None])
    mean, _ = codes.encoder(points)
    torch.testing.assert_close(codes.table.weight[1], mean[1])
    torch.testing.assert_close(codes.table.weight[4], (mean[0] + mean[2]) / 2)
    assert not codes.table.weight[[0, 2, 3, 5]].any()


def test_the_same_call_makes_a_table_or_an_encoder():
    decoder = SkipMLP(4, width=16, depth=2, skip=0)
    table = codes_of(decoder, None, 5)
    assert type(table) is LatentCodes
    latent, more = table.of_batch(torch.tensor([2]), torch.zeros(1, 3, 3), [0])
    assert torch.equal(latent, table(torch.tensor([2]))) and more == {}
    zero = SkipMLP(4, width=16, depth=2, skip=0, zero_latent_columns=True)
    assert isinstance(codes_of(zero, PointNet(4, width=8), 5), EncodedCodes)
    for encoder, options, fault in (
        (PointNet(3, width=8), {}, "model.encoder.latent_size=3: the decoder has 4"),
        (PointNet(4, 2, width=8), {}, "model.encoder.dimension=2: the decoder has 3"),
        (PointNet(4, width=8), {"max_norm": 1.0}, "code_max_norm"),
    ):
        with pytest.raises(InputError, match=fault):
            codes_of(decoder, encoder, 5, CodeOptions(**options))


def test_a_space_with_an_encoder_trains_resumes_and_fits(train, toy_store, tmp_path):
    options = [*ENCODER, "--model.encoder.variational=true", "--trainer.max_epochs=60"]
    whole = train(tmp_path / "whole", 60, *options)
    train(tmp_path / "parts", 20, *options)
    parts = train(tmp_path / "parts", 60, *options)
    one, two = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, parts))
    assert one.keys() == two.keys() and "codes.encoder.first.weight" in one
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, two[name]), name
    space = TrainedSpace.load(whole, "cpu")
    assert not any(weight.requires_grad for weight in space.codes.parameters())
    scan = ScanStore(toy_store).scan("egg")
    found = space.encode(torch.from_numpy(scan.points)[None])
    assert (found - space.code("egg")).norm() < 0.5 * (found - space.code("lens")).norm()
    # With the encoder's guess first, one start fits as well as several do.
    one_start = Search(starts=2, freedom="none", stages=[Stage(500, 16.0, 1, 1)])
    fitted = space.fit([dataclasses.replace(scan, name="new")], search=one_start)
    assert fitted.distances.mean() < 0.1


def test_a_table_has_no_encoder(toy_checkpoint):
    with pytest.raises(InputError, match="has a table of codes and no encoder; use fit"):
        TrainedSpace.load(toy_checkpoint, "cpu").encode(torch.zeros(1, 5, 3))


def test_an_unknown_encoder_and_the_base_are_one_line(train, tmp_path):
    for name, fault in {
        "shapespace.encoders.PointNett": "did you mean 'shapespace.encoders.PointNet'",
        "shapespace.encoders.Encoder": "Encoder is the base of all; name one of them",
    }.items():
        with pytest.raises(InputError, match=f"model.encoder: .*{fault}"):
            train(tmp_path / "run", 1, f"--model.encoder={name}")
