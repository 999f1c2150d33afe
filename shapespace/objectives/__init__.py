"""Objectives: the same terms train a space, fit the code of an unseen scan and validate."""

from shapespace.objectives.base import Objective
from shapespace.objectives.dirichlet import DirichletPoisson
from shapespace.objectives.eikonal import EikonalVariant
from shapespace.objectives.hotspot import HotSpot
from shapespace.objectives.igr import IGR
from shapespace.objectives.reference import PublishedIGR
from shapespace.objectives.second_order.divergence import DiGS, StEik
from shapespace.objectives.second_order.singular_hessian import SingularHessian
from shapespace.objectives.siren import SirenLoss
from shapespace.objectives.targets.deepsdf import DeepSDF
from shapespace.objectives.targets.level_sets import LevelSets
from shapespace.objectives.targets.michalkiewicz import DeepLevelSets
from shapespace.objectives.targets.neural_pull import NeuralPull
from shapespace.objectives.targets.occupancy import OccupancyCrossEntropy, WeightedSquares
from shapespace.objectives.targets.sal import SAL, SALD, SALIndicator

__all__ = [
    "IGR",
    "SAL",
    "SALD",
    "DeepLevelSets",
    "DeepSDF",
    "DiGS",
    "DirichletPoisson",
    "EikonalVariant",
    "HotSpot",
    "LevelSets",
    "NeuralPull",
    "Objective",
    "OccupancyCrossEntropy",
    "PublishedIGR",
    "SALIndicator",
    "SingularHessian",
    "SirenLoss",
    "StEik",
    "WeightedSquares",
]
