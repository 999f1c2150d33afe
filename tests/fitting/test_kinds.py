"""The same shapes as a distance and as fields that are none give the same fit, in true lengths."""

import numpy as np
import pytest
import torch

from shapespace.codes import LatentCodes
from shapespace.config.options import DiagnosticsOptions
from shapespace.decoders.base import Decoder, gradient_by_autograd
from shapespace.decoders.derivatives import FirstOrderDistance, slope_at_surface
from shapespace.diagnostics.space import diagnose_space
from shapespace.fitting.refine import Refinement
from shapespace.objectives.igr import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Frame, PreparedScan, rounded_normals
from shapespace.space import TrainedSpace

FIELDS = {
    "distance": ("distance", lambda d: d),
    "five": ("logit", lambda d: 5 * d),
    "logit": ("logit", lambda d: 12 * torch.sinh(1.5 * d) + 3 * d),
    "clamped": ("clamped", lambda d: d.clamp(-0.1, 0.1)),
    "tanh": ("clamped", lambda d: 0.1 * torch.tanh(d / 0.1)),
    "unsigned": ("unsigned", lambda d: (d.square() + 1e-8).sqrt() - 1e-4),
}


class Capsules(Decoder):
    """Capsules along x: the code holds changes of half length and radius; ``of`` warps f."""

    dimension = 3
    latent_size = 2

    def __init__(self, of):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(()))
        self.of = of

    def forward(self, points, latent):
        half, radius = 0.3 + latent[:, :1], 0.15 + latent[:, 1:]
        along = points[..., 0] - torch.maximum(-half, torch.minimum(points[..., 0], half))
        away = torch.cat([along[..., None], points[..., 1:]], -1)
        return self.of(torch.linalg.vector_norm(away, dim=-1) - radius + self.bias)


def space_of(name):
    kind, of = FIELDS[name]
    codes = LatentCodes(12, 2, 0.02, seed=3)
    codes.names = tuple(f"c{row}" for row in range(12))
    codes.frames = (Frame(np.zeros(3)),) * 12
    objective = IGR()
    objective.kind = kind
    decoder = Capsules(of).requires_grad_(False)
    sampler = NearSurface(0.05, extent=1.0)
    return TrainedSpace(decoder, codes.requires_grad_(False), objective, sampler)


def scan_of(half=0.33, radius=0.16, num=1500, noise=0.004):
    """A capsule whose centre is off, with noise."""
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(num, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    middle = np.where(
        (rng.random(num) < half / (half + radius))[:, None], 0.0, np.sign(unit[:, :1]) * half
    )
    along = np.concatenate([middle, np.zeros((num, 2))], 1)
    side = middle[:, 0] == 0
    unit[side, 0] = 0
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    along[side, 0] = rng.uniform(-half, half, side.sum())
    points = along + radius * unit + noise * rng.normal(size=(num, 1)) * unit
    points = (points + np.array([0.03, -0.02, 0.01])).astype(np.float32)
    normals = rounded_normals(unit.astype(np.float32))
    facts = (Frame(np.zeros(3)), "", "", num, 0, 0, "measured")
    return PreparedScan("x", points, normals, np.full(num, 0.05, np.float32), *facts)


@pytest.fixture(scope="module")
def fits():
    return {name: space_of(name).fit([scan_of()]) for name in FIELDS}


def test_every_kind_finds_the_same_code_and_pose_and_says_the_same_lengths(fits):
    known = fits["distance"]
    shift = torch.tensor([[-0.03, 0.02, -0.01]])
    torch.testing.assert_close(known.poses.shift, shift, rtol=0, atol=2e-3)
    for name, found in fits.items():
        assert (found.poses.shift - known.poses.shift).abs().max() < 1e-3, name
        assert (found.codes - known.codes).abs().max() < 2e-3, name
        ratio = float(found.distances.mean() / known.distances.mean())
        assert 0.95 < ratio < 1.05, (name, ratio)
        assert 0.95 < float(found.scatter / known.scatter) < 1.05, name


def test_error_bars_are_the_same_lengths(fits):
    bars = {}
    for name, found in fits.items():
        space = space_of(name)
        if name == "unsigned":
            continue
        mesh = space_of("distance").mesh(fits["distance"].codes[0], resolution=24)
        bars[name] = space.deviation(found, 0, mesh, Frame(np.zeros(3))).mean()
    assert max(bars.values()) / min(bars.values()) < 1.1, bars


def test_a_refinement_takes_the_same_points_and_holds_alike(fits):
    scan = scan_of(radius=0.17)
    moved = {}
    for name in ("distance", "five", "clamped"):
        space = space_of(name)
        fitted = fits["distance"]
        options = Refinement(steps=1, lr=1e-6, outlier=0.05)
        refined = space.refined(fitted, 0, scan, options)
        assert isinstance(refined.metric, FirstOrderDistance) == (name != "distance")
        moved[name] = float(refined.decoder.bias)
    assert len({value != 0 for value in moved.values()}) == 1


def test_the_published_fit_is_measured_in_the_same_lengths():
    space = space_of("five")
    found = space.fit_reference([scan_of()], steps=2)
    raw = space.decoder(torch.from_numpy(scan_of().points)[None], found.codes).abs()
    torch.testing.assert_close(found.distances, raw / 5, rtol=1e-3, atol=1e-6)


def test_diagnostics_of_a_scaled_distance_are_those_of_the_distance():
    options = DiagnosticsOptions(num_points=2000, num_rays=64, resolution=48)
    known, five = (
        diagnose_space(space_of(name), ["c0"], settings=options) for name in ("distance", "five")
    )
    for column in ("distance_rmse_space", "gradient_rms_near", "safe_factor", "sheets"):
        one, two = known.shapes["c0"][column], five.shapes["c0"][column]
        assert two == pytest.approx(one, rel=0.05, abs=2e-3), column
    assert "minus a logit" in five.text() and "|grad f| at the surface is 5" in five.text()
    assert "f stands for" not in known.text()
    assert five.plain()["settings"]["field"] == "logit"


def test_the_first_order_distance_has_the_gradient_that_it_says():
    decoder = Capsules(FIELDS["logit"][1]).double()
    points = torch.randn(1, 40, 3).double() * 0.5
    latent = torch.zeros(1, 2).double()
    for least in (1e-3, 40.0):
        metric = FirstOrderDistance(decoder, 21.0, least)
        found = metric.value_and_gradient(points, latent)
        torch.testing.assert_close(found, gradient_by_autograd(metric.forward, points, latent))
        cut = metric.value_and_gradient(points, latent, gradient_from=3, value_until=2)
        assert torch.equal(cut[0], found[0][:, :2]) and torch.equal(cut[1], found[1][:, 3:])
    for name, slope in {"five": 5.0, "logit": 21.0, "clamped": 1.0, "tanh": 1.0}.items():
        found = slope_at_surface(Capsules(FIELDS[name][1]), torch.zeros(2, 2), 1.0)
        assert found == pytest.approx(slope, rel=0.02), name


def test_the_kind_is_kept_in_the_checkpoint(train, tmp_path, monkeypatch):
    from shapespace.checkpoint import read_checkpoint, write_checkpoint
    from shapespace.errors import InputError

    monkeypatch.setattr(IGR, "kind", "logit")
    path = train(tmp_path / "run", 1)
    monkeypatch.undo()
    space = TrainedSpace.load(path)
    assert space.kind == "logit" and isinstance(space.metric, FirstOrderDistance)
    content = read_checkpoint(path)
    content["shapespace"]["field"] = "density"
    write_checkpoint(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other.ckpt: shapespace.field is density"):
        TrainedSpace.load(tmp_path / "other.ckpt")
