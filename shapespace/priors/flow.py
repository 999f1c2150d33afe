"""A normalising flow: a neural spline flow of the library zuko.

Letters: S codes, K codes, R leading axes.
"""

from types import ModuleType

import torch
from jaxtyping import Float64
from torch import Tensor

from shapespace.errors import InputError
from shapespace.priors.base import CodePrior
from shapespace.priors.descent import descend

TRANSFORMS = 2
BINS = 8
WIDTH = 64
STEPS = 1000
RATE = 2e-3
NOISE = 0.1
"""Standard deviation of the noise that is added to codes, in their standard deviations. Without it
a flow puts all its density on few codes."""


class Flow(CodePrior):
    """A neural spline flow (Durkan et al. 2019) along the leading axes.

    Args:
        latent_size: L.
        num_leading: R.

    Raises:
        InputError: zuko is not installed.
    """

    kind = "flow"

    def __init__(self, latent_size: int, num_leading: int) -> None:
        super().__init__(latent_size, num_leading)
        zuko = _zuko()
        self.network = None
        if num_leading:
            # The first weights come from torch's generator, whose state is put back.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                flow = zuko.flows.NSF(
                    num_leading, bins=BINS, transforms=TRANSFORMS, hidden_features=(WIDTH, WIDTH)
                )
            self.network = flow.double()

    def fit_leading(self, leading: Float64[Tensor, "S R"], generator: torch.Generator) -> None:
        """Train the flow by maximum likelihood, until codes kept apart get less likely.

        Args:
            leading: numbers of the training codes along the leading axes.
            generator: of batches and noise.
        """
        network = self.network
        assert network is not None

        def loss(points: Tensor, _: torch.Generator) -> Tensor:
            return -network().log_prob(points)

        descend(network, loss, leading, generator, steps=STEPS, rate=RATE, noise=NOISE)

    def log_prob_leading(self, leading: Float64[Tensor, "K R"]) -> Float64[Tensor, " K"]:
        """The logarithm of the density along the leading axes, in nats."""
        assert self.network is not None
        return self.network().log_prob(leading)

    def sample_leading(self, num: int, generator: torch.Generator) -> Float64[Tensor, "K R"]:
        """Draw numbers along the leading axes.

        Args:
            num: K.
            generator: of the draws.
        """
        assert self.network is not None
        noise = torch.randn(num, self.num_leading, generator=generator, dtype=torch.float64)
        return self.network().transform.inv(noise)


def _zuko() -> ModuleType:
    """The library, imported only where it is used."""
    try:
        import zuko
    except ImportError as error:
        raise InputError(
            "a flow needs zuko, which is not installed: pip install 'shapespace[prior]', or take "
            "--kind mixture"
        ) from error
    return zuko
