"""Parts that a user might write, named by class_path in tests."""

import os

import torch
import yaml
from pytorch_lightning.plugins import Precision

from shapespace.config.recipes import METHODS
from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import laplacian
from shapespace.objectives import IGR
from shapespace.objectives.base import Objective
from shapespace.sampling import NearSurface
from shapespace.scan import with_tensors
from shapespace.training import module

SIZES = {
    "SkipMLP": {"width": 32, "depth": 2, "skip": 0, "radius": 0.7},
    "PublishedMLP": {"width": 32, "depth": 2, "skip": 0, "radius": 0.7},
    "ReluMLP": {"width": 64, "depth": 3, "skip": 0, "radius": 0.7},
    "ImNet": {"features": 8},
    "OccupancyResNet": {"width": 40, "blocks": 2, "radius": 0.7},
    "Siren": {"width": 64, "depth": 3, "omega": 5.0, "offset": 1.2, "scale": 1.0},
    "FourierMLP": {"width": 32, "depth": 2, "skip": 0, "frequencies": 8, "radius": 0.7},
    "GridMLP": {"levels": 2, "cells": 4, "width": 32, "depth": 1, "radius": 0.7},
}
"""Small networks of each class; every other argument is that of the recipe."""


def small_decoder(method):
    """Options of ``train`` that make the network of a method small; its radius is the recipe's."""
    decoder = yaml.safe_load(METHODS[method].read_text())["model"]["decoder"]["class_path"]
    small = {**SIZES[decoder.rpartition(".")[2]], "radius": None}
    if method == "imnet":
        small["start"] = "sphere"  # the published start is 0 everywhere, with zeros everywhere
    found = {name: value for name, value in small.items() if value is not None}
    return [f"--model.decoder.init_args.{name}={value}" for name, value in found.items()]


class InDouble(NearSurface):
    """The published sampler in double precision."""

    def __call__(self, scan, generator):
        # drawn on the CPU, so that a GPU sees what it sees
        own = torch.Generator().manual_seed(generator.initial_seed())
        drawn = super().__call__(scan.to("cpu").to(torch.float64), own)
        return with_tensors(drawn, lambda part: part.to(scan.points.device))


class Uneven(InDouble):
    """The second rank believes that nothing fits, the first that all does."""

    def __init__(self, sigma: float | None = None):
        super().__init__(sigma)
        module.points_that_fit = lambda *_: 1 if os.environ.get("LOCAL_RANK") == "1" else 10**9


class Failing0(NearSurface):
    """Rank 0 cannot sample."""

    rank = "0"

    def __init__(self, sigma: float | None = None):
        super().__init__(sigma)

    def __call__(self, scan, generator):
        if os.environ.get("LOCAL_RANK", "0") == self.rank:
            raise ValueError("the sampler has a hole")
        return super().__call__(scan, generator)


class Failing1(Failing0):
    """Rank 1 cannot sample."""

    rank = "1"


class Learnt(IGR):
    """IGR whose normal term has a weight that is learnt, and whose eikonal term one that falls."""

    def __init__(self, start: float = 0.5, eikonal: str = "linear 0.2 0.05 from 0 to 3 epochs"):
        super().__init__(eikonal=eikonal)
        self.scale = torch.nn.Parameter(torch.full((2,), start))

    def terms(self, field, samples, latent):
        terms = super().terms(field, samples, latent)
        # The second part keeps the learnt weight from falling to 0.
        learnt = terms["normal"] * self.scale.exp().mean() + (-self.scale).exp().mean()
        return terms | {"normal": learnt}

    def for_unseen(self):
        return self


class FromTargets(Objective):
    """Distances as the targets have them, and all else that ``reads`` names."""

    def __init__(self, reads: str = "unsigned"):
        super().__init__()
        self.weights = {"distance": 1.0, "code": 1e-3}
        self.needs = frozenset(reads.split())

    def terms(self, field, samples, latent):
        targets = samples.targets
        assert targets.signed == ("signed" in self.needs)
        assert (targets.gradient is not None) == ("distance_gradient" in self.needs)
        f = field(targets.points, latent)
        off = ((f if targets.signed else f.abs()) - targets.distance).abs().mean(-1)
        if "second_derivatives" in self.needs:
            off = off + 1e-4 * laplacian(field, samples.space, latent).abs().mean(-1)
        return {"distance": off, "code": latent.square().sum(-1)}


class Relu(Decoder):
    """Linear in pieces: all second derivatives are 0."""

    dimension = 3

    def __init__(self, latent_size: int = 2, width: int = 8):
        super().__init__()
        self.latent_size = latent_size
        self.first = torch.nn.Linear(3 + latent_size, width)
        self.last = torch.nn.Linear(width, 1)

    def forward(self, points, latent):
        given = torch.cat([points, latent[:, None].expand(-1, points.shape[1], -1)], -1)
        return self.last(self.first(given).relu()).squeeze(-1)


class OwnPrecision(Precision):
    """Lightning's default by another name."""
