"""The examples in docstrings run, and what they define can be used."""

import doctest

import pytest
import torch

from shapespace import sampling
from shapespace.decoders import base as decoders
from shapespace.fitting import fit_codes_adam
from shapespace.objectives import base as objectives
from shapespace.scan import Scan


def examples(module, owner):
    """Run the examples in the docstring of a class; all that they define."""
    (test,) = doctest.DocTestFinder(recurse=False).find(owner, globs=dict(vars(module)))
    assert test.examples
    runner = doctest.DocTestRunner()
    result = runner.run(test, clear_globs=False)
    assert result.failed == 0
    return test.globs


@pytest.fixture(scope="module")
def parts():
    """A decoder, an objective and a sampler as the docstrings of their bases write them."""
    return {
        **examples(decoders, decoders.Decoder),
        **examples(objectives, objectives.Objective),
        **examples(sampling, sampling.Sampler),
    }


def test_the_parts_of_the_examples_fit_a_code(parts):
    unit = torch.nn.functional.normalize(torch.randn(1, 100, 3), dim=-1)
    scan = Scan(torch.tensor([0]), 0.6 * unit, unit, torch.full((1, 100), 0.05))
    decoder, objective, sampler = parts["Ball"](), parts["Squares"](), parts["Uniform"](1.2)
    found = fit_codes_adam(decoder, scan, objective, sampler, steps=300, lr=0.02)
    assert abs(0.5 * found.codes.exp() - 0.6).max() < 1e-3


def test_all_that_a_subclass_may_set_stands_on_its_base(parts):
    decoder, objective = parts["Ball"](), parts["Squares"]()
    assert decoder.precision == "float32" and not decoder.zero_latent_columns
    assert decoder.lipschitz_bound() == float("inf") and decoder.bytes_per_point() >= 0
    decoder.drop_memory()
    assert objective.for_unseen() is objective.for_refinement() is objective
    assert sampling.Sampler.extent == 1.8
