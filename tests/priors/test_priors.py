"""What holds of every prior, and what the flow and the diffusion model add."""

import math
import sys

import pytest
import torch

from shapespace.errors import InputError
from shapespace.priors import descent, diffusion, flow
from shapespace.priors.files import KINDS, PriorFacts, fit_prior, load_prior, save_prior
from shapespace.priors.held_out import folds_of, held_out, one_gaussian
from tests.priors.test_mixture import clusters, seeded

FACTS = PriorFacts(space="a" * 64, num_codes=80, seed=0, held_out=1.5, reference=1.0, by="random")


@pytest.fixture
def quick(monkeypatch):
    """Few steps of descent."""
    for module in (flow, diffusion):
        monkeypatch.setattr(module, "STEPS", 60)
    pytest.importorskip("zuko")


@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_codes_have_a_prior(quick, kind):
    generator = seeded()
    for codes in (torch.ones(1, 3), torch.ones(6, 3), torch.randn(3, 10), torch.randn(5, 1)):
        prior = fit_prior(kind, codes, generator)
        drawn = prior.sample(4, generator)
        assert drawn.shape == (4, codes.shape[1]) and torch.isfinite(drawn).all()
        assert torch.isfinite(prior.log_prob(codes)).all()
        assert prior.sample(0, generator).shape == (0, codes.shape[1])
        if (codes == codes[0]).all():
            assert torch.equal(drawn, codes[:1].repeat(4, 1))
    with pytest.raises(InputError, match="code length 0"):
        fit_prior(kind, torch.zeros(4, 0), generator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_same_prior_and_is_tied_to_its_space(quick, kind, tmp_path):
    prior = fit_prior(kind, clusters(10), seeded())
    path = save_prior(prior, FACTS, tmp_path / "prior.safetensors")
    again, facts = load_prior(path, FACTS.space)
    assert facts == FACTS and again.kind == kind
    assert torch.equal(again.sample(3, seeded(1)), prior.sample(3, seeded(1)))
    codes = clusters(3)
    assert torch.equal(again.log_prob(codes), prior.log_prob(codes))
    with pytest.raises(InputError, match="another space"):
        load_prior(path, "b" * 64)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="not a readable prior"):
        load_prior(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_prior_whatever_torch_drew_before(quick, kind):
    codes = clusters(10)
    first = fit_prior(kind, codes, seeded())
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    assert torch.equal(fit_prior(kind, codes, seeded()).log_prob(codes), first.log_prob(codes))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_files_end_in_a_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_prior(tmp_path / "prior.safetensors")
    with pytest.raises(InputError, match="safetensors file"):
        save_prior(fit_prior("mixture", clusters(5), seeded()), FACTS, tmp_path / "prior.pt")
    other = tmp_path / "other.safetensors"
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="is no prior"):
        load_prior(other)
    with pytest.raises(InputError, match="one of mixture, flow, diffusion"):
        fit_prior("vae", clusters(5), seeded())


def test_tensors_of_other_shapes_are_refused(tmp_path):
    prior = fit_prior("mixture", clusters(5), seeded())
    prior.means = prior.means[:, :0]
    path = save_prior(prior, FACTS, tmp_path / "prior.safetensors")
    with pytest.raises(InputError, match="not those of a mixture"):
        load_prior(path)


def test_without_zuko_a_flow_is_refused_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(InputError, match=r"shapespace\[prior\]"):
        fit_prior("flow", clusters(5), seeded())


def exact_denoiser(variance):
    """The best denoiser of a Gaussian of this variance about 0."""
    return lambda points, noise: points * (variance / (variance + noise.square()))[:, None]


def test_diffusion_with_the_exact_denoiser_draws_and_weighs_a_gaussian():
    denoise = exact_denoiser(0.49)
    points = torch.tensor([[0.0, 0.0], [0.7, -0.2], [1.5, 1.0]]).double()
    found = diffusion.density(denoise, points, num_steps=256)
    exact = -points.square().sum(1) / (2 * 0.49) - math.log(2 * math.pi * 0.49)
    torch.testing.assert_close(found, exact, rtol=0, atol=5e-3)
    noise = torch.randn(9, 2, generator=seeded()).double()
    drawn = diffusion.denoised(denoise, diffusion.MOST_NOISE * noise, num_steps=256)
    torch.testing.assert_close(drawn, 0.7 * noise, rtol=0, atol=5e-3)


def test_the_flow_draws_what_its_density_says(quick):
    codes = clusters(20, length=1)
    prior = fit_prior("flow", codes, seeded())
    nodes = torch.linspace(-6, 6, 4001).double()[:, None]
    density = prior.log_prob(nodes).exp()
    assert float(density.sum()) * 12 / 4000 == pytest.approx(1, abs=0.01)
    mean = float((density * nodes[:, 0]).sum()) * 12 / 4000
    drawn = prior.sample(4000, seeded(2))
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.1)


def test_the_descent_keeps_the_weights_that_were_best():
    network = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(network.weight, 2.0)
    points = torch.ones(32, 1).double()
    descent.descend(
        network,
        lambda batch, _: (network(batch)[:, 0] - 1) ** 2,
        points,
        seeded(),
        steps=4000,
        rate=0.05,
    )
    assert network.weight.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("names", "by"),
    [
        (["1_run_0001", "1_run_0002", "2_run_0001", "3_hop_0001"], "subject"),
        (["1_run_0001", "1_run_0002", "2_hop_0001", "2_hop_0002"], "sequence"),
        (["a", "b", "c", "d"], "random"),
    ],
)
def test_people_or_motions_are_held_out_where_names_tell_them(names, by):
    found, folds = folds_of(names)
    assert found == by
    groups = {"subject": lambda n: n[0], "sequence": lambda n: n[:5], "random": lambda n: n}[by]
    parts = {groups(name): fold for name, fold in zip(names, folds, strict=True)}
    assert [parts[groups(name)] for name in names] == list(folds)
    assert len(set(folds)) == len(parts)


def test_held_out_codes_are_those_the_prior_has_not_seen():
    codes = clusters(8)
    names = [f"shape{row}" for row in range(16)]
    seen = []

    def make(some, generator):
        seen.append(some)
        return one_gaussian(some, generator)

    found = held_out(make, codes, names)
    assert found is not None and sum(len(codes) - len(some) for some in seen) == len(codes)
    for some, fold in zip(seen, sorted(set(found.folds)), strict=True):
        mine = codes[torch.tensor(found.folds) == fold]
        assert torch.cdist(mine, some).min() > 0
    assert held_out(make, codes[:3], names[:3]) is None


def test_the_mixture_finds_held_out_codes_of_clusters_likelier_than_one_gaussian():
    codes = clusters(20)
    names = [f"shape{row}" for row in range(40)]
    mixture = held_out(lambda some, draws: fit_prior("mixture", some, draws), codes, names)
    one = held_out(one_gaussian, codes, names)
    assert mixture is not None and one is not None and mixture.mean > one.mean + 1
