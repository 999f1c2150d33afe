"""Decoders f(x; z): a signed distance, positive outside, for a point x and a latent code z."""

from shapespace.decoders.base import Decoder, Field, value_and_gradient
from shapespace.decoders.fourier import WaveMLP
from shapespace.decoders.mlp import SkipMLP
from shapespace.decoders.reference import PublishedMLP

__all__ = ["Decoder", "Field", "PublishedMLP", "SkipMLP", "WaveMLP", "value_and_gradient"]
