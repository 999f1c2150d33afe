"""Slow twins of the objectives, point by point from the formulas; autograd for all derivatives.

Each function gives the loss of one scan: ``points`` are the rows of its samples, ``z`` its code.
"""

import math

import torch


class Point:
    """f, g and H of a field at one point, each with a graph."""

    def __init__(self, field, x, z):
        self.field, self.z = field, z
        self.x = x.detach().clone().requires_grad_()
        self.f = field(self.x[None, None], z[None])[0, 0]
        (self.g,) = torch.autograd.grad(self.f, self.x, create_graph=True)

    @property
    def size(self):
        return self.g.pow(2).sum().sqrt()

    @property
    def hessian(self):
        rows = [torch.autograd.grad(part, self.x, create_graph=True)[0] for part in self.g]
        return torch.stack(rows)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def length(z):
    return z.pow(2).sum().sqrt() if len(z) else torch.zeros(()).double()


def cosine(a, b):
    return (a * b).sum() / (a.pow(2).sum().sqrt() * b.pow(2).sum().sqrt())


def deepsdf(s, z, field):
    def clamp(v):
        return max(min(v, 0.1 + 0 * v), -0.1 + 0 * v)

    errors = [
        (clamp(field(y[None, None], z[None])[0, 0]) - clamp(d)).abs() for y, d in s["targets"]
    ]
    return mean(errors) + 1e-4 * length(z)


def deepsdf_fit(s, z, field):
    square = z.pow(2).sum() / max(len(z), 1)
    return deepsdf(s, z, field) + 1e-4 * (square - length(z))


def sal(s, z, field):
    errors = [(Point(field, y, z).f.abs() - d.abs()).abs() for y, d in s["targets"]]
    return mean(errors) + 1e-3 * length(z)


def sald(s, z, field):
    total = []
    for (y, d), n in zip(s["targets"], s["gradients"], strict=True):
        p = Point(field, y, z)
        n = n * (-1 if d < 0 else 1)
        both = (p.g - n).abs().sum(), (p.g + n).abs().sum()
        total.append((p.f.abs() - d.abs()).abs() + min(both) * bool(n.any()))
    return mean(total) + 1e-3 * z.pow(2).sum() / max(len(z), 1)


def sal_indicator(s, z, field):
    off = mean((Point(field, y, z).f.abs() - 1).abs() for y in s["space"])
    on = mean(Point(field, x, z).f.abs() for x in s["surface"])
    return off + 2 * on + 1e-3 * length(z)


def cross_entropy(s, z, field):
    total = []
    for y, d in s["targets"]:
        inside = 1 / (1 + torch.exp(Point(field, y, z).f))
        total.append(-torch.log(inside if d < 0 else 1 - inside))
    return mean(total) + 1e-3 * length(z)


def weighted_squares(s, z, field, by_distance=False):
    above, below = 0, 0
    for y, d in s["targets"]:
        weight = d.abs() + 0.01 if by_distance else 1.0
        above = above + weight * (0.5 - Point(field, y, z).f - (1.0 if d < 0 else 0.0)) ** 2
        below = below + weight
    return above / below + 1e-3 * length(z)


def distance_squares(s, z, field):
    return weighted_squares(s, z, field, by_distance=True)


def siren(s, z, field):
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    count = len(on) + len(off)
    total = sum(3e3 * p.f.abs() for p in on)
    total = total + sum(
        1e2 * (1 - cosine(p.g, n)) for p, n in zip(on, s["normals"], strict=True) if n.any()
    )
    total = total + sum(1e2 * torch.exp(-100 * p.f.abs()) for p in off)
    total = total + sum(5e1 * (p.size - 1).abs() for p in on + off)
    return total / count + length(z)


def without_normals(s, z, field, surface, bend, weight):
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    total = surface * mean(p.f.abs() for p in on)
    total = total + 1e2 * mean(torch.exp(-100 * p.f.abs()) for p in off)
    total = total + 5e1 * mean((p.size - 1).abs() for p in on + off)
    return total + weight * mean(bend(p) for p in off) + length(z)


def digs(s, z, field):
    """At three tenths of the run: 100 has half the way to 0 behind it."""

    def bend(p):
        trace = sum(p.hessian[k, k] for k in range(len(p.x)))
        return trace.abs().clamp(0.1, 50)

    return without_normals(s, z, field, 3e3, bend, 50)


def steik(s, z, field):
    def bend(p):
        return (p.g @ p.hessian @ p.g).abs() / (p.g @ p.g + 1e-5)

    return without_normals(s, z, field, 2e3, bend, 50)


def singular_hessian(s, z, field):
    on = [Point(field, x, z) for x in s["surface"]]
    half = len(s["space"]) // 2
    near = [Point(field, y, z) for y in s["space"][:half]]
    far = [Point(field, y, z) for y in s["space"][half:]]

    def det(p):
        h = p.hessian
        if len(h) == 2:
            return (h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0]).abs()
        return (h[0] @ torch.linalg.cross(h[1], h[2])).abs()

    singular = (mean(det(p) for p in on) + mean(det(p) for p in near)) / 2
    total = 7e3 * mean(p.f.abs() for p in on)
    total = total + 6e2 * mean(torch.exp(-100 * p.f.abs()) for p in far)
    total = total + 5e1 * mean((p.size - 1).abs() for p in on)
    # Halfway from 5 to 0.001.
    return total + 2.5005 * singular + length(z)


def hotspot(s, z, field):
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    a = 4 + 0.3 * (15 - 4)
    total = 500 * mean(p.f.abs() for p in on)
    total = total + 20 * mean(0.5 * torch.exp(-2 * a * p.f.abs()) * (p.g @ p.g + 1) for p in off)
    return total + mean((p.size - 1).abs() for p in off) + length(z)


def dirichlet(s, z, field):
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    total = 200 * mean(p.f**2 for p in on)
    total = total + mean(
        ((p.g - n) ** 2).mean() * bool(n.any()) for p, n in zip(on, s["normals"], strict=True)
    )
    total = total + 0.1 * mean(torch.exp(-40 * p.f.abs()) for p in off)
    return total + 0.1 * mean((p.g**2).mean() for p in off) + 1e-3 * length(z)


def igr(s, z, field, potential=lambda g: (g.pow(2).sum().sqrt() - 1) ** 2):
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    total = mean(p.f.abs() for p in on)
    total = total + mean(
        (p.g - n).pow(2).sum().sqrt() * bool(n.any()) for p, n in zip(on, s["normals"], strict=True)
    )
    return total + 0.1 * mean(potential(p.g) for p in off) + 1e-3 * length(z)


def double_well(s, z, field):
    def potential(g):
        t = g.pow(2).sum().sqrt()
        low = (1 - torch.cos(2 * math.pi * t)) / (2 * math.pi) ** 2
        return low if t <= 1 else 0.5 * (t - 1) ** 2

    return igr(s, z, field, potential)


def single_well(s, z, field):
    return igr(s, z, field, lambda g: 0.5 * (g.pow(2).sum().sqrt() - 1) ** 2)


def city_blocks(s, z, field):
    return igr(s, z, field, lambda g: (g.abs().max() - 1) ** 2)


def cubes(s, z, field):
    return igr(s, z, field, lambda g: (g.abs().pow(1.5).sum() ** (2 / 3) - 1) ** 2)


def angles(s, z, field):
    """|cos|, squared and averaged, with repulsion, area and volume; no other terms."""
    on = [Point(field, x, z) for x in s["surface"]]
    off = [Point(field, y, z) for y in s["space"]]
    squares = [
        (1 - cosine(p.g, n).abs()) ** 2 if n.any() else 0 * p.f
        for p, n in zip(on, s["normals"], strict=True)
    ]
    total = mean(p.f.abs() for p in on) + mean(squares).sqrt()
    total = total + 0.3 * mean(torch.exp(-30 * p.f.abs()) for p in off)
    delta = [0.05 / (math.pi * (0.05**2 + p.f**2)) for p in off]
    total = total + 0.02 * mean(d * p.size for d, p in zip(delta, off, strict=True))
    inside = [0.5 * (1 + 2 / math.pi * torch.atan(-p.f / 0.05)) for p in off]
    return total + 0.07 * mean(inside) + 1e-3 * length(z)


def deep_level_sets(s, z, field):
    first, second, slopes, area, inside = [], [], [], [], []
    for (y, d), n in zip(s["targets"], s["gradients"], strict=True):
        p = Point(field, y, z)
        delta = 0.1 / (math.pi * (0.1**2 + p.f**2))
        first.append(delta * d.abs() ** 2)
        second.append(delta * (1 - cosine(p.g, n).abs()) ** 2 if n.any() else 0 * p.f)
        slopes.append((p.size - 1) ** 2)
        area.append(delta)
        inside.append(0.5 * (1 + 2 / math.pi * torch.atan(-p.f / 0.1)))
    total = mean(first).sqrt() + 0.1 * mean(second).sqrt() + mean(slopes)
    total = total + 3 * mean(Point(field, x, z).f.abs() for x in s["surface"])
    return total + 0.2 * mean(area) + 0.3 * mean(inside) + 1e-3 * length(z)


def neural_pull(s, z, field):
    total = []
    for (y, d), n in zip(s["targets"], s["gradients"], strict=True):
        p = Point(field, y, z)
        nearest = y - d * n
        missed = y - p.f * p.g / p.size - nearest
        total.append(missed.pow(2).sum().sqrt() * bool(n.any()))
    return mean(total) + 1e-3 * length(z)


def level_sets(s, z, field):
    """No Newton step: every sample stays on its level, and only its position has derivatives."""
    total = []
    for y in s["space"]:
        p = Point(field, y, z)
        level, g = p.f.detach(), p.g.detach()
        moving = y - (field(y[None, None], z[None])[0, 0] - level) * g / (g @ g)
        distance = min((moving - x).pow(2).sum().sqrt() for x in s["surface"])
        on_zero = level.abs() <= 1e-5
        total.append((distance - level.abs()).abs() if on_zero or s["kept"](y) else 0 * distance)
    on = mean(Point(field, x, z).f.abs() for x in s["surface"])
    return mean(total) + 3 * on + 1e-3 * length(z)
