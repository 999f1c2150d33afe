"""Decoders f(x; z): a signed distance, positive outside, for a point x and a latent code z."""

from shapespace.decoders.base import Decoder, Field, value_and_gradient
from shapespace.decoders.mlp import SkipMLP
from shapespace.decoders.published import PublishedMLP
from shapespace.decoders.waves import WaveMLP

__all__ = ["Decoder", "Field", "PublishedMLP", "SkipMLP", "WaveMLP", "value_and_gradient"]
