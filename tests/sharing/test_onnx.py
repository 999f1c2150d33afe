"""ONNX files of fields: f and grad f as the decoder gives them, in another program."""

import numpy as np
import pytest
import torch
from torch import nn

from shapespace.cli.main import main
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError
from shapespace.sharing import onnx as ours
from shapespace.space import TrainedSpace

runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")


def test_f_and_its_gradient(toy_checkpoint, tmp_path, capsys):
    words = ["export", str(toy_checkpoint), "--out", str(tmp_path / "b"), "--onnx"]
    assert main(words) == 0
    assert "differs from the decoder by" in capsys.readouterr().out
    space = TrainedSpace.load(toy_checkpoint)
    session = runtime.InferenceSession(tmp_path / "b" / ours.FIELD)
    points, codes = torch.rand(4, 50, 3) * 3 - 1.5, space.codes.table.weight
    given = {"points": points.numpy(), "latent": codes.numpy()}
    found = dict(zip(("sdf", "gradient"), session.run(["sdf", "gradient"], given), strict=True))
    # The closed form of the kernel, which is not what was traced.
    sdf, gradient = space.decoder.value_and_gradient(points, codes)
    np.testing.assert_allclose(found["sdf"], sdf, atol=1e-5)
    np.testing.assert_allclose(found["gradient"], gradient, atol=1e-5)
    session = runtime.InferenceSession(tmp_path / "b" / ours.JACOBIAN)
    assert [each.name for each in session.get_outputs()] == list(ours.OUTPUTS)
    for have, want in zip(
        session.run(None, given), space.decoder.jacobian(points, codes), strict=True
    ):
        np.testing.assert_allclose(have, want, atol=1e-5)


class Odd(Decoder):
    """A decoder in the plane whose closed form is not that of its ``forward``."""

    dimension, latent_size = 2, 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, points, latent):
        return (points * self.weight).square().sum(-1) + latent

    def value_and_gradient(self, points, latent, *, gradient_from=0, value_until=None):
        sdf = self(points, latent)
        return sdf, 3 * points


class Untraceable(Odd):
    """A decoder that decides by values, which no graph of operations does."""

    def forward(self, points, latent):
        return points.sum(-1) if bool(points.sum() > 0) else points.sum(-1) + latent


def test_what_cannot_be_exported_is_one_line(tmp_path):
    for decoder, said in (
        (Odd(), "Odd: its ONNX differs from it by"),
        (Untraceable(), "Untraceable: torch cannot export it to ONNX"),
    ):
        with pytest.raises(InputError, match=said) as error:
            ours.write_onnx(decoder.eval(), tmp_path / "f.onnx", extent=1.0)
        assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []
