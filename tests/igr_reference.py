"""One IGR step written from the formulas, sharing nothing with the package.

Network: the code concatenated to every point, the input again at the skip layer divided by sqrt 2,
softplus(beta a) / beta between the layers. Loss per scan: mean |f| + tau mean |g - n| on the
surface + lambda mean (|g| - 1)^2 in space + kappa |z|; the batch is the mean of its scans.
"""

import torch

SQRT2 = 2**0.5


def network(weights, biases, skip, beta, inputs):
    hidden = inputs
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if skip and k == skip:
            hidden = torch.cat([hidden, inputs], -1) / SQRT2
        hidden = hidden @ weight.T + bias
        if k + 1 < len(weights):
            hidden = torch.log1p(torch.exp(-beta * hidden.abs())) / beta + hidden.clamp(min=0)
    return hidden[..., 0]


def value_and_gradient(params, skip, beta, points, code):
    points = points.detach().requires_grad_()
    inputs = torch.cat([code.expand(len(points), -1), points], -1)
    f = network(params[0::2], params[1::2], skip, beta, inputs)
    (g,) = torch.autograd.grad(f.sum(), points, create_graph=True)
    return f, g


def loss_of_scan(params, skip, beta, surface, normals, space, code, tau=1.0, lam=0.1, kappa=1e-3):
    f, g = value_and_gradient(params, skip, beta, surface, code)
    _, g_space = value_and_gradient(params, skip, beta, space, code)
    loss = f.abs().mean()
    if normals is not None:
        loss = loss + tau * ((g - normals) ** 2).sum(-1).sqrt().mean()
    loss = loss + lam * (((g_space**2).sum(-1).sqrt() - 1) ** 2).mean()
    length = (code**2).sum().sqrt() if code.abs().sum() > 0 else (0 * code).sum()
    return loss + kappa * length


def loss_of_batch(params, skip, beta, surface, normals, space, codes):
    normals = [None] * len(surface) if normals is None else normals
    losses = [
        loss_of_scan(params, skip, beta, *scan)
        for scan in zip(surface, normals, space, codes, strict=True)
    ]
    return sum(losses) / len(losses)
