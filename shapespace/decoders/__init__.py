"""Decoders f(x; z): a signed distance, positive outside, for a point x and a latent code z."""

from shapespace.decoders.base import Decoder, Field, value_and_gradient
from shapespace.decoders.fourier import FourierMLP, PositionalMLP, WaveMLP
from shapespace.decoders.grid import GridMLP
from shapespace.decoders.imnet import ImNet
from shapespace.decoders.mlp import SkipMLP
from shapespace.decoders.occupancy import OccupancyResNet
from shapespace.decoders.reference import PublishedMLP
from shapespace.decoders.relu import ReluMLP
from shapespace.decoders.siren import Siren

__all__ = [
    "Decoder",
    "Field",
    "FourierMLP",
    "GridMLP",
    "ImNet",
    "OccupancyResNet",
    "PositionalMLP",
    "PublishedMLP",
    "ReluMLP",
    "Siren",
    "SkipMLP",
    "WaveMLP",
    "value_and_gradient",
]
