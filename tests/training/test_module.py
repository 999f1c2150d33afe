import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface, Sampler
from shapespace.scan import Samples, Scan
from shapespace.training.batches import Batch, dealt
from shapespace.training.module import ShapeSpace
from tests.igr_reference import loss_of_batch


class Recording(Sampler):
    """The published sampler, which keeps what it drew."""

    def __init__(self):
        self.drawn: list[Samples] = []

    def __call__(self, scan, generator):
        self.drawn.append(NearSurface()(scan, generator))
        return self.drawn[-1]


class Remembering(IGR):
    """IGR that keeps its last totals, before they are logged in float32."""

    def total(self, terms):
        self.last = super().total(terms)
        return self.last


def batch_of(index, dimension=3, normals=True, num=24):
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(len(index), num, dimension, generator=generator, dtype=torch.float64)
    known = torch.nn.functional.normalize(points, dim=-1) if normals else None
    sigma = torch.full(points.shape[:2], 0.1, dtype=torch.float64)
    scan = Scan(torch.tensor(index), points, known, sigma)
    return Batch(scan, dealt([(row, 10 + row) for row in index], len(index)))


def train_one_step(
    latent_size=256, dimension=3, normals=True, std=0.05, chunk=None, steps=1, **options
):
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size, dimension, width=latent_size + 40, depth=8, skip=4)
    module = ShapeSpace(
        decoder,
        Remembering(),
        Recording(),
        num_scans=4,
        code_init_std=std,
        points_per_chunk=chunk,
        **options,
    ).double()
    before = [p.detach().clone() for p in [*decoder.parameters(), module.codes.table.weight]]
    batch = batch_of([2, 0, 3], dimension, normals)
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader([batch], batch_size=None))
    return module, batch, before


CASES = [
    (256, 3, True, 0.05),
    (256, 3, True, 0.0),
    (256, 3, False, 0.05),
    (0, 3, True, 0.0),
    (0, 3, False, 0.0),
    (16, 2, True, 0.05),
    (0, 2, False, 0.0),
]


@pytest.mark.parametrize(("latent_size", "dimension", "normals", "std"), CASES)
def test_one_step_equals_an_independent_reference(latent_size, dimension, normals, std):
    module, batch, before = train_one_step(latent_size, dimension, normals, std)
    *params, codes = (tensor.requires_grad_() for tensor in before)
    samples, scan = Samples.cat(module.sampler.drawn), batch.scan
    loss = loss_of_batch(
        params, 4, 100.0, scan.points, scan.normals, samples.space, codes[scan.index]
    )
    loss.backward()
    close = {"rtol": 0, "atol": 1e-8}
    torch.testing.assert_close(module.objective.last.mean(), loss, **close)
    for ours, reference in zip(module.decoder.parameters(), params, strict=True):
        torch.testing.assert_close(ours.grad, reference.grad, **close)
    torch.testing.assert_close(module.codes.table.weight.grad.to_dense(), codes.grad, **close)
    torch.optim.Adam(params, 5e-3).step()
    torch.optim.Adam([codes], 1e-3).step()
    for ours, reference in zip(module.decoder.parameters(), params, strict=True):
        torch.testing.assert_close(ours, reference, rtol=0, atol=1e-6)  # eps meets tiny gradients
    torch.testing.assert_close(module.codes.table.weight, codes, rtol=0, atol=1e-8)


def test_chunks_change_nothing():
    whole, chunked = train_one_step(8), train_one_step(8, chunk=100)
    for ours, other in zip(whole[0].parameters(), chunked[0].parameters(), strict=True):
        grads = [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in (ours, other)]
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_long_gradients_are_shortened_and_codes_keep_theirs():
    def gradients(clip):
        module, _, _ = train_one_step(8, gradient_clip=clip)
        flat = torch.cat([weight.grad.flatten() for weight in module.decoder.parameters()])
        return flat, module.codes.table.weight.grad.to_dense()

    whole, of_codes = gradients(None)
    bound = float(whole.norm()) / 3
    short, same = gradients(bound)
    torch.testing.assert_close(short, whole / 3, rtol=1e-5, atol=0)
    assert torch.equal(same, of_codes)
    assert torch.equal(gradients(2 * float(whole.norm()))[0], whole), "a short one stays"
    with pytest.raises(ValueError, match="gradient_clip=0"):
        ShapeSpace(SkipMLP(0, width=16), IGR(), NearSurface(), gradient_clip=0.0)


def test_codes_of_other_scans_never_move():
    module, _, before = train_one_step(8, steps=3)
    moved = (module.codes.table.weight - before[-1]).abs().sum(1) > 0
    assert moved.tolist() == [True, False, True, True]


def test_a_step_is_one_batch():
    assert train_one_step(8, steps=3)[0].trainer.global_step == 3


def test_rates_are_halved_down_to_the_floor():
    module = ShapeSpace(SkipMLP(4, width=16, depth=2, skip=0), IGR(), NearSurface(), halve_every=2)
    rates = []
    for epoch in (0, 1, 2, 5, 100):
        module._trainer = type("T", (), {"current_epoch": epoch})()
        rates.append(module.learning_rate(1e-3))
    assert rates == [1e-3, 1e-3, 5e-4, 2.5e-4, 5e-6]


def test_zero_codes_and_zero_columns_together_are_refused():
    with pytest.raises(ValueError, match="neither would ever get a gradient"):
        ShapeSpace(SkipMLP(4, width=16, zero_latent_columns=True), IGR(), NearSurface())
