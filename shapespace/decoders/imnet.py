"""The decoder of IM-NET, an occupancy between 0 and 1.

Letters: B scans, N points a scan, D dimension, L code length.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder
from shapespace.decoders.layers import CodeLinear, lipschitz_of, sphere_start
from shapespace.errors import at_least, positive

LEAK = 0.02
"""Slope of the leaky ReLU for negative inputs."""
WIDTHS = (8, 8, 8, 4, 2, 1)
"""Neurons of the hidden layers, in multiples of ``features``."""


class ImNet(Decoder):
    """IM-NET (Chen and Zhang 2019): leaky ReLU, narrowing layers, a leaky clamp to 0..1.

    The authors' network gives an occupancy F, 1 inside and 0 outside. Here f = 1/2 - F, so that f
    is positive outside and its zero set is the authors' threshold. With l the last layer,
    F = max(min(l, 0.01 l + 0.99), 0.01 l). Leaky ReLUs are not twice differentiable.

    The start "published" is no sphere: weights N(0, 0.02^2) and a last bias of 1/2 give F = 1/2
    everywhere, as occupancies on a grid say everywhere which side is inside. The start "sphere" is
    f = |x| - radius for |f| < 1/2. It holds for any code with ``zero_latent_columns``, else for
    codes near 0.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        features: the layers have 8, 8, 8, 4, 2 and 1 times this many neurons; 128 is published.
        start: "published" or "sphere".
        radius: of the start "sphere", in the store's unit.
        zero_latent_columns: begin with latent columns 0. Codes that do not begin at 0 need this
            for a sphere; codes that begin at 0 must not have this.
    """

    twice_differentiable = False

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        features: int = 128,
        start: Literal["published", "sphere"] = "published",
        radius: float = 1.0,
        zero_latent_columns: bool = False,
    ) -> None:
        super().__init__()
        at_least(0, latent_size=latent_size)
        at_least(1, features=features)
        positive(radius=radius)
        self.dimension = dimension
        self.latent_size = latent_size
        self.zero_latent_columns = zero_latent_columns
        widths = [multiple * features for multiple in WIDTHS]
        sizes = [(0, latent_size, dimension, widths[0])]
        sizes += [(a, 0, 0, b) for a, b in zip(widths, [*widths[1:], 1], strict=True)]
        self.layers = nn.ModuleList(CodeLinear(*size) for size in sizes)
        layers = self._linears()
        if start == "sphere":
            sphere_start(layers, radius, leak=LEAK)
            # The last layer of sphere_start is |x| - radius, and l is 1/2 minus that.
            with torch.no_grad():
                layers[-1].weight.neg_()
                layers[-1].bias.fill_(0.5 + radius)
        else:
            for layer in layers:
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)
            nn.init.normal_(layers[-1].weight, 1e-5, 0.02)
            nn.init.constant_(layers[-1].bias, 0.5)
        if zero_latent_columns:
            layers[0].zero_latent()

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """1/2 - F at ``points``, positive outside, nearly within -1/2..1/2."""
        *hidden_layers, last = self._linears()
        hidden = None
        for layer in hidden_layers:
            hidden = F.leaky_relu(layer(hidden, latent, points), LEAK)
        value = last(hidden, latent, points).squeeze(-1)
        occupancy = torch.maximum(torch.minimum(value, 0.01 * value + 0.99), 0.01 * value)
        return 0.5 - occupancy

    def lipschitz_bound(self) -> float:
        """The product of the spectral norms: all activations have slope 1 at most."""
        return lipschitz_of([(layer, 1.0) for layer in self._linears()])

    def _linears(self) -> list[CodeLinear]:
        return [layer for layer in self.layers if isinstance(layer, CodeLinear)]
