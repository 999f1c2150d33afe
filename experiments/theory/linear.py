"""The linear model f(x) = w.x on points near a plane: losses, closed forms, gradient descent.

M is the second moment of the points with eigenvalues d_1 <= ... <= d_D and eigenvectors u_j, lambda
the weight of the eikonal term. Four losses, by the name of their form:

    deck      lambda (|w|^2 - 1)^2 + w'Mw    as IGR's proof of plane reproduction takes it
    norm      lambda (|w| - 1)^2 + w'Mw      the eikonal term as it is trained
    absolute  lambda (|w| - 1)^2 + mean |w.x|
    normals   the same + tau |w - n|         all as it is trained: shapespace.objectives.IGR
"""

import math

import torch

LAMBDA, TAU = 0.1, 1.0


def plane_points(count, sigma, seed, normal=(0.0, 0.0, 1.0), dtype=torch.float64):
    """Points [N,3] of the square [-1,1]^2 in the plane through 0, moved along its unit normal."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.tensor(normal, dtype=dtype)
    frame = torch.linalg.qr(torch.stack([normal, *torch.eye(3, dtype=dtype)[:2]], 1))[0]
    flat = 2 * torch.rand(count, 2, generator=generator, dtype=dtype) - 1
    noise = sigma * torch.randn(count, 1, generator=generator, dtype=dtype)
    return flat @ frame[:, 1:].mT + noise * normal


def second_moment(points, reduction="mean"):
    """M [D,D]: mean or sum of x x'."""
    moment = points.mT @ points
    return moment / len(points) if reduction == "mean" else moment


def deck_loss(w, moment, weight=LAMBDA):
    """Of each row of w [K,D]."""
    return weight * (w.square().sum(-1) - 1) ** 2 + ((w @ moment) * w).sum(-1)


def norm_loss(w, moment, weight=LAMBDA):
    """Of each row of w [K,D]."""
    return weight * (w.norm(dim=-1) - 1) ** 2 + ((w @ moment) * w).sum(-1)


def absolute_loss(w, points, weight=LAMBDA, normal=None, tau=TAU):
    """Of each row of w [K,D]; with the normal of the plane the loss of the training."""
    loss = weight * (w.norm(dim=-1) - 1) ** 2 + (w @ points.mT).abs().mean(-1)
    return loss if normal is None else loss + tau * (w - normal).norm(dim=-1)


def deck_slope(d, weight=LAMBDA):
    """Length of the critical points along an eigenvector of eigenvalue d; 0 where there is none."""
    return math.sqrt(max(0.0, 1 - d / (2 * weight)))


def norm_slope(d, weight=LAMBDA):
    """The same of the other form: never 0."""
    return weight / (weight + d)


def absolute_slope(deviation, weight=LAMBDA, tau=0.0):
    """Length of the minimum along the unit normal; deviation: mean |n.x|, sigma sqrt(2/pi).

    With normals (tau > 0) the term tau |w - n| is an exact penalty: 1 while the deviation is less.
    """
    return min(1.0, max(0.0, 1 - (deviation - tau) / (2 * weight)))


def critical_points(moment, form, weight=LAMBDA):
    """[(w [D], index j or None for w = 0)], both signs; 0 is no critical point of norm: a peak."""
    values, vectors = torch.linalg.eigh(moment)
    slope = {"deck": deck_slope, "norm": norm_slope}[form]
    found = [(torch.zeros_like(vectors[0]), None)] if form == "deck" else []
    for j, d in enumerate(values.tolist()):
        if (r := slope(d, weight)) > 0:
            found += [(sign * r * vectors[:, j], j) for sign in (1, -1)]
    return found


def hessian_eigenvalues(moment, j, form, weight=LAMBDA):
    """Ascending, at the critical points along eigenvector j, or at 0 (deck) if j is None."""
    d = torch.linalg.eigvalsh(moment)
    if j is None:
        return 2 * d - 4 * weight
    across = 2 * (d - d[j])
    radial = 8 * weight * deck_slope(d[j].item(), weight) ** 2 if form == "deck" else None
    across[j] = radial if form == "deck" else 2 * (weight + d[j])
    return across.sort().values


def descend(loss, starts, rate=0.05, steps=4000):
    """Gradient descent of each row of ``starts`` [K,D] on its own, at a constant rate."""
    w = starts.clone()
    for _ in range(steps):
        w.requires_grad_()
        (slope,) = torch.autograd.grad(loss(w).sum(), w)
        w = (w - rate * slope).detach()
    return w
