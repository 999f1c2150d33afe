"""The mixture as the prior of a fit: against loops and differences, and on two exact clusters."""

import math

import pytest
import torch

from shapespace.cli.main import main
from shapespace.config.options import FitOptions
from shapespace.decoders import Decoder
from shapespace.errors import InputError
from shapespace.fitting.residuals import MixturePrior, Prior
from shapespace.fitting.search import Search
from shapespace.priors.mixture import GaussianMixture
from shapespace.reconstruction.method import fitting_prior
from shapespace.scan import Scan
from tests.fitting.ellipsoids import CODES, Ellipsoids, ellipsoids, training_codes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def two_gaussians():
    weights = torch.tensor([0.3, 0.7]).double().log()
    means = torch.tensor([[1.0, 0.0, 0.5], [-1.0, 0.3, 0.0]]).double()
    root = torch.randn(2, 3, 3, generator=seeded()).double()
    return weights, means, root @ root.mT + 0.1 * torch.eye(3)


def test_the_cost_is_that_of_the_likeliest_gaussian_written_as_loops():
    weights, means, covariances = two_gaussians()
    prior = MixturePrior.of_gaussians(weights, means, covariances, shrinkage=0.0)
    codes = torch.randn(9, 3, generator=seeded(1)).double() * 2
    costs = []
    for code in codes:
        each = []
        for row in range(2):
            gaussian = torch.distributions.MultivariateNormal(means[row], covariances[row])
            each.append(float(-gaussian.log_prob(code) - weights[row]))
        costs.append(min(each))
    found = prior.terms(codes).cost
    # The costs are those of the densities but for one constant.
    shift = torch.tensor(costs, dtype=torch.float64) - found
    torch.testing.assert_close(shift, shift[:1].expand(9), rtol=0, atol=1e-9)
    assert (prior.costs >= 0).all()


def test_slope_and_hessian_are_those_of_differences():
    prior = MixturePrior.of_gaussians(*two_gaussians())
    codes = torch.randn(5, 3, generator=seeded(2)).double()
    terms = prior.terms(codes)
    for axis in range(3):
        step = 1e-6 * torch.eye(3)[axis].double()
        ahead, behind = prior.terms(codes + step), prior.terms(codes - step)
        torch.testing.assert_close(
            terms.slope[:, axis], (ahead.cost - behind.cost) / 2e-6, rtol=0, atol=1e-6
        )
        torch.testing.assert_close(
            terms.precision[:, axis], (ahead.slope - behind.slope) / 2e-6, rtol=0, atol=1e-5
        )


def test_one_gaussian_is_the_usual_prior():
    codes = training_codes()
    usual = Prior.of_codes(codes)
    offset = codes - codes.mean(0)
    covariance = offset.mT @ offset / (len(codes) - 1)
    one = MixturePrior.of_gaussians(torch.zeros(1).double(), usual.means, covariance[None])
    torch.testing.assert_close(one.precisions[0], usual.precision)
    for mine, theirs in zip(one.terms(CODES), usual.terms(CODES), strict=True):
        torch.testing.assert_close(mine, theirs.expand_as(mine))
    torch.testing.assert_close(one.prior_distance(CODES, codes), usual.prior_distance(CODES, codes))
    fits = [Search(prior=prior)(Ellipsoids(), ellipsoids(CODES), codes) for prior in (None, one)]
    torch.testing.assert_close(fits[0].codes, fits[1].codes, rtol=0, atol=1e-7)
    torch.testing.assert_close(fits[0].covariances, fits[1].covariances, rtol=1e-5, atol=1e-12)


class Pears(Decoder):
    """F(x; z) = |x| - 0.5 - z_0 up(x)^2 - z_1 down(x)^2: linear in the code, zero on a pear.

    The first number bulges the upper half, the second the lower.
    """

    def __init__(self):
        super().__init__()
        self.dimension, self.latent_size = 3, 2
        self.unused = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, points, latent):
        radius = points.norm(dim=-1)
        height = points[..., 2] / radius
        halves = torch.stack([height.clamp(min=0), (-height).clamp(min=0)], -1).square()
        return radius - 0.5 - (halves * latent[:, None]).sum(-1)


def pear(code, num=800):
    """Points of the upper half of a pear, normals unknown."""
    unit = torch.nn.functional.normalize(torch.randn(num, 3, generator=seeded()).double(), dim=-1)
    unit = unit[unit[:, 2] > 0.1]
    points = (0.5 + code[0] * unit[:, 2:] ** 2) * unit
    return Scan(torch.arange(1), points[None], None, None)


def species(num=30):
    """Codes of two species: the upper half varies, the lower is that of the species."""
    generator = seeded(4)
    upper = 0.08 * torch.randn(2 * num, generator=generator).double()
    lower = 0.01 * torch.randn(2 * num, generator=generator).double()
    side = torch.tensor([1.0, -1.0]).double().repeat_interleave(num)
    return torch.stack([0.1 * side + upper, 0.15 * side + lower], 1)


def test_a_half_hidden_scan_is_found_better_by_the_mixture_than_by_one_gaussian():
    codes = species()
    mixture = GaussianMixture.fit(codes, seeded())
    assert len(mixture.means) == 2
    prior = MixturePrior.of_gaussians(*mixture.in_codes())
    off = {None: [], prior: []}
    for upper, lower in ((0.25, 0.15), (0.12, 0.15), (-0.2, -0.15), (-0.1, -0.15)):
        truth = torch.tensor([upper, lower]).double()
        for each, found in off.items():
            result = Search(freedom="none", prior=each)(Pears(), pear(truth), codes)
            found.append(float((result.codes[0] - truth)[1].abs()))
            assert abs(float(result.codes[0, 0]) - upper) < 0.01
    assert max(off[prior]) < 0.02
    assert sum(off[prior]) < 0.3 * sum(off[None])


def test_no_points_leave_the_mean_of_the_likeliest_gaussian():
    prior = MixturePrior.of_gaussians(*GaussianMixture.fit(species(), seeded()).in_codes())
    scan = pear(torch.zeros(2).double())
    nothing = Scan(scan.index, scan.points[:, :0], None, None)
    result = Search(freedom="none", prior=prior)(Pears(), nothing, species())
    nearest = torch.cdist(result.codes, prior.means).min()
    assert float(nearest) < 1e-6 and math.isfinite(float(result.covariances.sum()))


def test_a_fit_takes_a_mixture_of_its_own_space_alone(toy_checkpoint, tmp_path, monkeypatch):
    from shapespace.priors import diffusion
    from shapespace.space import TrainedSpace

    monkeypatch.setattr(diffusion, "STEPS", 10)
    space = TrainedSpace.load(toy_checkpoint)
    files = {kind: str(tmp_path / f"{kind}.safetensors") for kind in ("mixture", "diffusion")}
    for kind, path in files.items():
        assert main(["prior", "fit", str(toy_checkpoint), "--kind", kind, "--out", path]) == 0
    assert fitting_prior(files["mixture"], space).means.shape[1] == space.decoder.latent_size
    with pytest.raises(InputError, match="a fit takes a mixture"):
        fitting_prior(files["diffusion"], space)


@pytest.mark.parametrize("other", [{"method": "adam-published"}, {"identity_of": "anna"}])
def test_options_that_no_prior_goes_with_are_named(other):
    with pytest.raises(InputError, match="leave one of them out"):
        FitOptions(prior="prior.safetensors", **other)


def test_reconstruct_takes_the_prior_and_knows_it_by_its_content(
    toy_checkpoint, toy_store, tmp_path, capsys
):
    path = tmp_path / "prior.safetensors"
    assert main(["prior", "fit", str(toy_checkpoint), "--out", str(path)]) == 0
    names = tmp_path / "names.txt"
    names.write_text("egg\n")
    usual = ["reconstruct", str(toy_checkpoint), str(toy_store), "--scans", str(names)]
    usual += ["--out", str(tmp_path / "out"), "--resolution", "16", "--detail", "none"]
    assert main([*usual, "--prior", str(path)]) in (0, 1)
    moved = path.rename(tmp_path / "moved.safetensors")
    capsys.readouterr()
    assert main([*usual, "--prior", str(moved)]) in (0, 1)
    assert "kept" in capsys.readouterr().out
    assert main([*usual, "--prior", str(path)]) == 2
    assert "no such file" in capsys.readouterr().err
