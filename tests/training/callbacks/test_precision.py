import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.space import TrainedSpace
from shapespace.training.callbacks.precision import residual_error
from shapespace.training.cli import train
from shapespace.training.module import ShapeSpace

LOWER = "--model.decoder.init_args.precision=bfloat16"


def test_the_error_of_the_residual_is_that_of_its_precision():
    torch.manual_seed(0)
    decoder = SkipMLP(0, width=32, depth=3, skip=0, precision="mixed")
    points, latent = torch.randn(1, 200, 3), torch.zeros(1, 0, requires_grad=True)
    error = residual_error(decoder, points, latent)
    assert 0 < error < 0.1
    assert decoder.precision == "mixed"
    decoder.precision = "float32"
    assert residual_error(decoder, points, latent) == 0


@pytest.mark.parametrize(("tolerance", "warned"), [("0.5", False), ("1e-9", True)])
def test_a_training_goes_back_to_float32_when_the_residual_is_off(
    tolerance, warned, toy_arguments, tmp_path, recwarn, monkeypatch
):
    seen = []
    step = ShapeSpace.training_step

    def recorded(self, batch, batch_idx):
        seen.append(self.decoder.precision)
        step(self, batch, batch_idx)

    monkeypatch.setattr(ShapeSpace, "training_step", recorded)
    options = [LOWER, f"--guard.tolerance={tolerance}", f"--trainer.default_root_dir={tmp_path}"]
    checkpoint = train([*toy_arguments, *options, "--trainer.max_epochs=1"])
    texts = [str(warning.message) for warning in recwarn]
    assert any("eikonal residual in bfloat16" in text for text in texts) == warned
    train([*toy_arguments, *options, "--guard.tolerance=0.5", "--trainer.max_epochs=2"])
    assert set(seen) == {"float32" if warned else "bfloat16"} and len(seen) == 4
    assert TrainedSpace.load(checkpoint).decoder.precision == "float32"
