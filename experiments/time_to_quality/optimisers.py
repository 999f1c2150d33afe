"""Optimisers of the hidden matrices that were tried against Adam, each from its formula."""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd quintic that drives singular values toward 1 (Jordan et al. 2024, Muon)."""


def orthogonalised(matrix, steps=5):
    """About U V^T of the matrix U S V^T, by Newton-Schulz steps: singular values 0.7 to 1.2."""
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.mT
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; a step has the size of Adam's: rms 0.2 lr an entry.

    The factor 0.2 sqrt(max(rows, columns)) is that of Liu et al. 2025 (Moonlight).
    """

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                mean.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalised(weight.grad.lerp(mean, group["momentum"]))
                scale = 0.2 * max(weight.shape) ** 0.5
                weight.add_(update, alpha=-group["lr"] * scale)


class Soap(torch.optim.Optimizer):
    """Adam in the eigenbasis of the running G G^T and G^T G (Vyas et al. 2024).

    The basis is brought up to date by one step of subspace iteration every ``every`` steps.
    """

    def __init__(self, parameters, lr, betas=(0.95, 0.95), every=10, eps=1e-8):
        super().__init__(parameters, {"lr": lr, "betas": betas, "every": every, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    begin(state, weight.grad)
                    continue
                rotate_and_move(weight, state, group)


def begin(state, grad):
    state.update(t=0, left=grad @ grad.mT, right=grad.mT @ grad)
    state.update(mean=torch.zeros_like(grad), square=torch.zeros_like(grad))
    state["bases"] = [torch.linalg.eigh(state[side])[1] for side in ("left", "right")]


def rotate_and_move(weight, state, group):
    grad, (beta1, beta2) = weight.grad, group["betas"]
    left, right = state["bases"]
    state["t"] += 1
    state["mean"].lerp_(grad, 1 - beta1)
    turned = left.mT @ grad @ right
    state["square"].mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
    mean = left.mT @ state["mean"] @ right / (1 - beta1 ** state["t"])
    move = mean / ((state["square"] / (1 - beta2 ** state["t"])).sqrt() + group["eps"])
    weight.sub_(left @ move @ right.mT, alpha=group["lr"])
    state["left"].lerp_(grad @ grad.mT, 1 - beta2)
    state["right"].lerp_(grad.mT @ grad, 1 - beta2)
    if state["t"] % group["every"] == 0:
        state["bases"] = [
            torch.linalg.qr(state[side] @ basis)[0]
            for side, basis in zip(("left", "right"), (left, right), strict=True)
        ]
