"""Every objective equals its slow twin: value, and gradients of weights and codes, in float64."""

import math

import pytest
import torch

import tests.objectives.slow as slow
from shapespace.decoders import Siren, SkipMLP
from shapespace.errors import InputError
from shapespace.objectives import (
    SAL,
    SALD,
    DeepLevelSets,
    DeepSDF,
    DiGS,
    DirichletPoisson,
    EikonalVariant,
    HotSpot,
    LevelSets,
    NeuralPull,
    OccupancyCrossEntropy,
    SALIndicator,
    SingularHessian,
    SirenLoss,
    StEik,
    WeightedSquares,
)
from shapespace.scan import Samples, TargetSamples
from shapespace.utils.schedules import RunProgress

PAIRS = {
    "deepsdf": (DeepSDF(), slow.deepsdf),
    "deepsdf fit": (DeepSDF().for_unseen(), slow.deepsdf_fit),
    "sal": (SAL(), slow.sal),
    "sald": (SALD(), slow.sald),
    "sal h0": (SALIndicator(), slow.sal_indicator),
    "occupancy": (OccupancyCrossEntropy(), slow.cross_entropy),
    "imnet": (WeightedSquares(), slow.weighted_squares),
    "imnet by distance": (WeightedSquares("distance"), slow.distance_squares),
    "siren": (SirenLoss(), slow.siren),
    "digs": (DiGS(), slow.digs),
    "steik": (StEik(), slow.steik),
    "singular hessian": (SingularHessian(), slow.singular_hessian),
    "hotspot": (HotSpot(), slow.hotspot),
    "dirichlet": (DirichletPoisson(), slow.dirichlet),
    "igr": (EikonalVariant(), slow.igr),
    "double well": (EikonalVariant(potential="double_well"), slow.double_well),
    "single well": (EikonalVariant(potential="single_well"), slow.single_well),
    "l1": (EikonalVariant(p=1.0), slow.city_blocks),
    "l3": (EikonalVariant(p=3.0), slow.cubes),
    "angles": (
        EikonalVariant(
            eikonal=0.0,
            normal_term="abs_cosine",
            normal_power=2.0,
            repulsion=0.3,
            sharpness=30.0,
            area=0.02,
            volume=0.07,
        ),
        slow.angles,
    ),
    "deep level sets": (DeepLevelSets(area=0.2, volume=0.3), slow.deep_level_sets),
    "neural pull": (NeuralPull(), slow.neural_pull),
    "level sets": (LevelSets(steps=0), slow.level_sets),
}


def samples_of(dimension, count=(4, 6, 5)):
    """Two scans in float64; a normal and a gradient are unknown."""
    torch.manual_seed(1)
    on, off, around = (torch.randn(2, n, dimension).double() * 0.6 for n in count)
    normals, gradient = (
        torch.nn.functional.normalize(torch.randn_like(points), dim=-1) for points in (on, around)
    )
    normals[0, 1], gradient[1, 2] = 0, 0
    distance = torch.randn(2, count[2]).double() * 0.2
    return Samples(on, normals, off, TargetSamples(around, distance, gradient, signed=True))


def one_scan(samples, row):
    targets = samples.targets
    return {
        "surface": samples.surface[row],
        "space": samples.space[row],
        "normals": samples.normals[row],
        "targets": list(zip(targets.points[row], targets.distance[row], strict=True)),
        "gradients": targets.gradient[row],
        # Every second space point is a seed of the zero set, and counts only if it lies on it.
        "kept": lambda y: any(torch.equal(y, other) for other in samples.space[row][1::2]),
    }


def decoders(latent_size, dimension):
    torch.manual_seed(0)
    yield SkipMLP(latent_size, dimension, width=20, depth=3, skip=2, beta=20.0, radius=0.5).double()
    yield Siren(latent_size, dimension, width=8, depth=2, omega=4.0).double()


@pytest.mark.parametrize("name", PAIRS)
def test_it_equals_its_slow_twin(name):
    objective, twin = PAIRS[name]
    objective.progress = RunProgress(share=0.3, epoch=3.0)
    for latent_size, dimension in ((0, 2), (3, 2), (0, 3), (2, 3)):
        samples = samples_of(dimension)
        for decoder in decoders(latent_size, dimension):
            latent = torch.randn(2, latent_size).double().requires_grad_()
            learnt = [*decoder.parameters(), latent]
            fast = objective.total(objective.terms(decoder, samples, latent))
            exact = torch.stack(
                [twin(one_scan(samples, row), latent[row], decoder) for row in range(2)]
            )
            torch.testing.assert_close(fast, exact, rtol=1e-8, atol=1e-8)
            weights = torch.tensor([1.0, 0.7]).double()
            slopes = [
                torch.autograd.grad(
                    (loss * weights).sum(), learnt, allow_unused=True, materialize_grads=True
                )
                for loss in (fast, exact)
            ]
            scale = max(slope.abs().max() for slope in slopes[1] if slope.numel())
            for found, expected in zip(*slopes, strict=True):
                torch.testing.assert_close(found / scale, expected / scale, rtol=1e-8, atol=1e-8)
            assert scale > 0 and (latent_size == 0 or slopes[0][-1].ne(0).any())


def test_a_mean_over_scans_never_mixes_them():
    samples = samples_of(3)
    latent = torch.randn(2, 2).double()
    for decoder in decoders(2, 3):
        for objective, _ in PAIRS.values():
            both = objective.terms(decoder, samples, latent)
            alone = objective.terms(decoder, samples[1:], latent[1:])
            assert both.keys() == objective.weights.keys() == alone.keys()
            for name, values in both.items():
                torch.testing.assert_close(values[1:], alone[name])


def test_what_weighs_nothing_is_not_differentiated_twice():
    """After DiGS' annealing no second derivative is computed."""

    class Once(SkipMLP):
        def value_gradient_hessian(self, points, latent):
            raise AssertionError("not now")

        hessian_vector = value_gradient_hessian

    decoder = Once(0, 3, width=8, depth=2, skip=0).double()
    for objective in (DiGS(), StEik(), SingularHessian(singular=0.0)):
        objective.progress = RunProgress(share=0.5, epoch=9.0)
        terms = objective.terms(decoder, samples_of(3), torch.zeros(2, 0).double())
        assert terms[({"singular"} & terms.keys() and "singular") or "divergence"].eq(0).all()


def test_a_fit_refines_without_terms_of_regions_without_points():
    for objective, _ in PAIRS.values():
        refined = objective.for_refinement()
        assert refined.weight("latent") == 0
        gone = {"repulsion", "area", "volume", "heat", "level_sets"} & refined.weights.keys()
        assert all(refined.weight(name) == 0 for name in gone)
        assert sum(refined.weight(name) for name in refined.weights) > 0
        fits = objective.for_unseen()
        assert type(fits) is type(objective) and fits.weights.keys() == objective.weights.keys()


def test_missing_targets_and_wrong_arguments_are_one_line():
    samples = Samples(torch.zeros(1, 2, 3), None, torch.zeros(1, 2, 3))
    decoder = SkipMLP(0, 3, width=8, depth=1, skip=0)
    for objective in (SAL(), DeepSDF(), NeuralPull(), OccupancyCrossEntropy()):
        with pytest.raises(InputError, match=type(objective).__name__ + ".*--targets"):
            objective.terms(decoder, samples, torch.zeros(1, 0))
    for build, named in (
        (lambda: DeepSDF(clamp=0.0), "clamp"),
        (lambda: EikonalVariant(p=0.5), "p=0.5"),
        (lambda: SingularHessian(near_share=0.0), "near_share"),
        (lambda: DiGS(divergence="linear 1"), "divergence"),
        (lambda: HotSpot(absorption="often"), "absorption"),
        (lambda: WeightedSquares(margin=-1.0), "margin"),
    ):
        with pytest.raises(InputError, match=named):
            build()


def test_what_each_method_needs_and_what_its_field_is():
    found = {name: (sorted(each.needs), each.kind) for name, (each, _) in PAIRS.items()}
    assert found["deepsdf"] == (["signed"], "clamped")
    assert found["sal"] == (["unsigned"], "distance")
    assert found["sald"] == (["distance_gradient", "unsigned"], "distance")
    assert found["sal h0"] == ([], "clamped")
    assert found["occupancy"] == (["signed"], "logit")
    assert found["digs"] == (["second_derivatives"], "distance")
    assert found["siren"] == (["normals"], "distance")
    assert found["igr"] == ([], "distance") and found["l1"][1] == "clamped"
    assert not math.isfinite(EikonalVariant(p=math.inf).p)
