"""Priors over codes: distributions of the codes of a space, to draw new shapes and to fit scans."""

from shapespace.priors.base import CodePrior
from shapespace.priors.diffusion import Diffusion
from shapespace.priors.files import PriorFacts, fit_prior, load_prior, save_prior
from shapespace.priors.flow import Flow
from shapespace.priors.mixture import GaussianMixture

__all__ = [
    "CodePrior",
    "Diffusion",
    "Flow",
    "GaussianMixture",
    "PriorFacts",
    "fit_prior",
    "load_prior",
    "save_prior",
]
