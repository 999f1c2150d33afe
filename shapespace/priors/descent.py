"""Gradient descent for small networks on few codes, stopped where codes kept apart get worse.

Letters: S codes, K codes, R leading axes.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from jaxtyping import Float64
from torch import Tensor, nn

Loss = Callable[[Tensor, torch.Generator], Tensor]
"""The loss of each of some points [K,R], with a generator of what it draws: [K]."""
KEPT_APART = 8
"""One code in so many is kept apart, to stop in time; none of fewer than twice as many."""
CHECK_EVERY = 50
"""Steps from one look at the codes kept apart to the next."""
PATIENCE = 6
"""Looks without improvement after which the descent ends."""
REPEATS = 8
"""Draws of a random loss for each code kept apart."""
BATCH = 128


def descend(
    network: nn.Module,
    loss: Loss,
    points: Float64[Tensor, "S R"],
    generator: torch.Generator,
    *,
    steps: int,
    rate: float,
    noise: float = 0.0,
) -> None:
    """Train a network by AdamW, and leave it with the weights that were best.

    Weights are best by the codes kept apart. With fewer than 16 codes none is kept apart: the
    descent then takes a quarter of the steps.

    Args:
        network: whose weights are trained.
        loss: of points.
        points: the training codes along the leading axes.
        generator: of batches, noise and losses.
        steps: at most.
        rate: of the optimiser.
        noise: standard deviation of Gaussian noise that is added to each batch.
    """
    order = torch.randperm(len(points), generator=generator)
    apart = len(points) // KEPT_APART if len(points) >= 2 * KEPT_APART else 0
    held, used = points[order[:apart]], points[order[apart:]]
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-2)
    best, least, worse = deepcopy(network.state_dict()), float("inf"), 0
    for step in range(steps if apart else steps // 4):
        if apart and step % CHECK_EVERY == 0:
            now = _mean_loss(loss, held)
            worse = 0 if now < least else worse + 1
            if now < least:
                best, least = deepcopy(network.state_dict()), now
            if worse > PATIENCE:
                break
        rows = torch.randint(len(used), (min(BATCH, len(used)),), generator=generator)
        batch = used[rows]
        batch = batch + noise * torch.randn(batch.shape, generator=generator).to(batch)
        optimiser.zero_grad()
        with torch.enable_grad():
            loss(batch, generator).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
    if apart:
        network.load_state_dict(best)


@torch.no_grad()
def _mean_loss(loss: Loss, points: Float64[Tensor, "K R"]) -> float:
    """The mean loss, with the same draws in every call, so that looks can be compared."""
    same = torch.Generator().manual_seed(0)
    value = float(loss(points.repeat(REPEATS, 1), same).mean())
    return value if value == value else float("inf")
