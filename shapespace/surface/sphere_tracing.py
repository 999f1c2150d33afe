"""Where rays meet the zero set of a field: sphere tracing (Hart 1996), without a mesh.

A ray meets the surface at the first change of sign of f inside the box [-extent, extent]^3. The
search has the four stages and the constants of IDR (Yariv et al. 2020):

1. steps of |f| from the front;
2. for rays that have not arrived, steps of |f| from behind;
3. for rays still open, 100 samples between both ends;
4. a bracketed secant at the change of sign.

A step is |f| divided by a bound of |grad f|: a field that is no distance may fall faster than the
distance does. Relaxed steps are longer by a factor (Keinert et al. 2014). The balls around both
ends of a step, of radius |f| / bound, hold no surface. Where they do not touch, something may lie
between them: the ray goes back, and makes plain steps from there on.

A ray that starts inside the shape meets the surface from within.

Letters: K rays, R rays at work, S samples of a ray, N points, L code length; t is a depth, g is f
with the sign that makes it positive at the start of the ray.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import InputError, at_least, positive
from shapespace.surface.query import field_gradients, field_values, lipschitz_estimate, unit

STEPS = 10
"""Steps of sphere tracing from each end."""
THRESHOLD = 5e-5
"""Distance to the surface at which a ray has arrived, in the field's unit."""
SAMPLES = 100
"""Samples between both ends of a ray that is still open."""
SECANTS = 8
"""Secant steps."""
HALVINGS = 3
"""Bisections before the secant, after a step has gone through the surface."""
RELAXATION = 1.4
"""A good factor of relaxed steps, of the range 1.2 to 1.6 that pays."""
RAYS_PER_CALL = 65536
"""Rays that are traced at a time: memory stays bounded."""


@dataclass(frozen=True)
class Hits:
    """Where K rays meet the surface, on the device and in the type of the code.

    Args:
        depth: distance along the ray, in the field's unit; infinite without a hit.
        hit: whether the ray meets the surface.
        points: the point of the hit; without a hit, the point with the smallest |f| evaluated.
        gradient: grad f at the hit; zero without a hit.
        closest: the smallest |f| evaluated on the ray; 0 at a hit, infinite where the ray misses
            the box.
        steps: evaluations of f.
        overshot: whether a step went through the surface.
    """

    depth: Float[Tensor, " K"]
    hit: Bool[Tensor, " K"]
    points: Float[Tensor, "K 3"]
    gradient: Float[Tensor, "K 3"]
    closest: Float[Tensor, " K"]
    steps: Int[Tensor, " K"]
    overshot: Bool[Tensor, " K"]

    @property
    def normals(self) -> Float[Tensor, "K 3"]:
        """grad f / |grad f| at the hits, outward; zero without a hit or where grad f is zero."""
        return unit(self.gradient)


@torch.no_grad()
def trace(
    field: Field,
    latent: Float[Tensor, " L"],
    origins: Float[Tensor, "K 3"],
    directions: Float[Tensor, "K 3"],
    extent: float = 1.8,
    start: Float[Tensor, " K"] | None = None,
    steps: int = STEPS,
    threshold: float = THRESHOLD,
    lipschitz: float | None = None,
    relaxation: float = 1.0,
) -> Hits:
    """The first point of the surface of ``field(., latent)`` on each ray.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: one code, which may be of length 0; device and type of the work are its own.
        origins: where the rays start, in the field's frame.
        directions: directions of the rays, of any length but 0.
        extent: half side of the box that is searched, in the field's unit.
        start: depth up to which each ray is known to meet nothing; inf leaves the ray out.
        steps: steps of sphere tracing from each end.
        threshold: distance |f| / lipschitz at which a ray has arrived. One Newton step along the
            ray follows.
        lipschitz: bound of |grad f|; None takes :func:`lipschitz_estimate`. Where |grad f| is
            larger, thin parts may be missed. A bound that is too large only costs time. The inverse
            of the safe factor that ``shapespace diagnose`` prints is such a bound.
        relaxation: factor of the steps from the front, at least 1 and less than 2.

    Raises:
        InputError: for a relaxation out of its range.
        ValueError: for a direction of length 0, or a ray that is not finite.
    """
    at_least(0, steps=steps)
    positive(extent=extent, threshold=threshold)
    if not 1 <= relaxation < 2:
        raise InputError(f"relaxation={relaxation}: give a factor from 1 to below 2, such as 1.4")
    origins, directions = _checked_rays(latent, origins, directions)
    lipschitz = lipschitz_estimate(field, latent, extent) if lipschitz is None else lipschitz
    parts = []
    # At least one part, so that no rays give empty tensors.
    for first in range(0, max(len(origins), 1), RAYS_PER_CALL):
        part = slice(first, first + RAYS_PER_CALL)
        rays = _Rays(field, latent, origins=origins[part], directions=directions[part])
        rays.relaxation.fill_(relaxation)
        known = None if start is None else start[part].to(latent)
        near, far = box_span(rays.origins, rays.directions, extent=extent, start=known)
        # From here on a threshold is a value of f.
        level = threshold * lipschitz
        _search(rays, near, far=far, steps=steps, threshold=level, lipschitz=lipschitz)
        parts.append(rays.hits(threshold))
    return Hits(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Hits)})


def box_span(
    origins: Float[Tensor, "K 3"],
    directions: Float[Tensor, "K 3"],
    extent: float,
    start: Float[Tensor, " K"] | None,
) -> tuple[Float[Tensor, " K"], Float[Tensor, " K"]]:
    """The depths at which rays enter and leave the box [-extent, extent]^3.

    Args:
        origins: where the rays start.
        directions: unit directions of the rays.
        extent: half side of the box.
        start: smallest depth of entry; None stands for 0.

    Returns:
        Depths of entry and exit. Entry is beyond exit where a ray misses the box.
    """
    # The box is the intersection of three slabs. A ray parallel to a slab is inside for all depths
    # or for none; the division is then by 1 and its result is not used.
    parallel = directions == 0
    slope = torch.where(parallel, 1, directions)
    at_low = (-extent - origins) / slope
    at_high = (extent - origins) / slope
    within = origins.abs() <= extent
    low = torch.where(parallel, torch.where(within, -torch.inf, torch.inf), at_low.minimum(at_high))
    high = torch.where(
        parallel, torch.where(within, torch.inf, -torch.inf), at_low.maximum(at_high)
    )
    near = low.amax(-1).clamp(min=0)
    far = high.amin(-1)
    return near if start is None else near.maximum(start.to(near)), far


def _checked_rays(latent: Tensor, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Rays on the device and in the type of the code, with unit directions."""
    origins = origins.detach().to(latent)
    directions = directions.detach().to(latent)
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    good = torch.isfinite(origins).all(-1) & torch.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not good.all():
        row = int(torch.nonzero(~good)[0, 0])
        raise ValueError(
            f"ray {row} from {origins[row].tolist()} along {directions[row].tolist()}: give finite "
            "origins and directions of a length that is not 0"
        )
    return origins, directions / length


class _Rays:
    """A field along K rays, with what was found on each ray.

    ``sign`` makes g positive at the start of the ray, ``depth`` is that of the hit, ``closest`` the
    smallest |f| evaluated and ``closest_depth`` its depth. ``steps`` and ``overshot`` are those of
    :class:`Hits`. ``relaxation`` is the factor of the steps of each ray.
    """

    def __init__(self, field: Field, latent: Tensor, origins: Tensor, directions: Tensor) -> None:
        self.field = field
        self.latent = latent
        self.origins = origins
        self.directions = directions
        count = len(origins)
        self.sign = origins.new_ones(count)
        self.depth = origins.new_full((count,), torch.inf)
        self.closest = self.depth.clone()
        self.closest_depth = origins.new_zeros(count)
        self.steps = torch.zeros(count, dtype=torch.long, device=origins.device)
        self.overshot = torch.zeros(count, dtype=torch.bool, device=origins.device)
        self.relaxation = origins.new_ones(count)

    def values(self, rows: Int[Tensor, " R"], t: Float[Tensor, "R S"]) -> Float[Tensor, "R S"]:
        """g at S depths of each of R rays."""
        points = self.origins[rows, None] + t[..., None] * self.directions[rows, None]
        f = field_values(self.field, self.latent, points.reshape(-1, 3)).reshape(t.shape)
        lowest, index = f.abs().nan_to_num(torch.inf).min(1)
        closer = lowest < self.closest[rows]
        self.closest[rows] = torch.where(closer, lowest, self.closest[rows])
        at = t.gather(1, index[:, None])[:, 0]
        self.closest_depth[rows] = torch.where(closer, at, self.closest_depth[rows])
        self.steps[rows] += t.shape[1]
        return f * self.sign[rows, None]

    def value(self, rows: Int[Tensor, " R"], t: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """g at one depth of each of R rays."""
        return self.values(rows, t[:, None])[:, 0]

    def hits(self, threshold: float) -> Hits:
        """All that was found, after one Newton step along each ray that hit."""
        hit = self.depth.isfinite()
        t = torch.where(hit, self.depth, self.closest_depth)
        gradient = torch.zeros_like(self.origins)
        points = self.origins[hit] + t[hit, None] * self.directions[hit]
        value, gradient_at_hits = field_gradients(self.field, self.latent, points)
        slope = (gradient_at_hits * self.directions[hit]).sum(-1)
        # A ray that grazes the surface has a small slope, and a Newton step would lead far away.
        steep = slope.abs() > 0.1 * torch.linalg.vector_norm(gradient_at_hits, dim=-1)
        step = torch.where(steep, value / slope, 0).clamp(-10 * threshold, 10 * threshold)
        t[hit] -= step
        gradient[hit] = gradient_at_hits
        return Hits(
            depth=torch.where(hit, t, self.depth),
            hit=hit,
            points=self.origins + t[:, None] * self.directions,
            gradient=gradient,
            closest=torch.where(hit, 0, self.closest),
            steps=self.steps,
            overshot=self.overshot,
        )


@dataclass(frozen=True)
class _Bracket:
    """For each of R rays, two depths between which g changes sign: g > 0 at ``low``, not at
    ``high``.
    """

    low: Float[Tensor, " R"]
    high: Float[Tensor, " R"]
    g_low: Float[Tensor, " R"]
    g_high: Float[Tensor, " R"]

    def narrowed(self, t: Float[Tensor, " R"], g: Float[Tensor, " R"]) -> "_Bracket":
        """The bracket with one end moved to depth t, where the value is g."""
        outside = g > 0
        return _Bracket(
            low=torch.where(outside, t, self.low),
            high=torch.where(outside, self.high, t),
            g_low=torch.where(outside, g, self.g_low),
            g_high=torch.where(outside, self.g_high, g),
        )

    def secant(self) -> Float[Tensor, " R"]:
        """The depth at which the line through both values is zero, kept inside the bracket."""
        drop = self.g_low - self.g_high
        share = torch.where(drop > 0, self.g_low / drop, 0.5)
        return self.low + share.clamp(0, 1) * (self.high - self.low)


def _search(
    rays: _Rays, near: Tensor, far: Tensor, steps: int, threshold: float, lipschitz: float
) -> None:
    """Run all stages between the depths ``near`` and ``far``; depths of hits go to ``rays.depth``.

    ``threshold`` is the |f| at which a ray has arrived.
    """
    rows = torch.nonzero(near <= far)[:, 0]
    t = near[rows]
    f = rays.value(rows, t)
    rays.sign[rows] = torch.where(f < 0, -1.0, 1.0).to(f)
    g = f.abs()
    for _ in range(steps):
        rows, t, g = _without_arrived(rays, rows, t=t, g=g, threshold=threshold)
        stays = t + g / lipschitz < far[rows]
        rows = rows[stays]
        t = t[stays]
        g = g[stays]
        if not len(rows):
            return
        rows, t, g = _step(rays, rows, t=t, g=g, threshold=threshold, lipschitz=lipschitz)
    rows, t, g = _without_arrived(rays, rows, t=t, g=g, threshold=threshold)
    back = _step_from_behind(
        rays,
        rows,
        front=t,
        far=far[rows],
        steps=steps,
        threshold=threshold,
        lipschitz=lipschitz,
    )
    # Where both fronts have met, nothing is left in between.
    open_ = back > t
    _sample(rays, rows[open_], front=t[open_], g=g[open_], back=back[open_], threshold=threshold)


def _without_arrived(
    rays: _Rays, rows: Tensor, t: Tensor, g: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Record the rays that have arrived at the surface; returns rows, t and g of the others."""
    arrived = g <= threshold
    rays.depth[rows[arrived]] = t[arrived]
    return rows[~arrived], t[~arrived], g[~arrived]


def _step(
    rays: _Rays, rows: Tensor, t: Tensor, g: Tensor, threshold: float, lipschitz: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Make one step along each ray; returns rows, t and g of the rays that go on."""
    step = rays.relaxation[rows] * g / lipschitz
    ahead = t + step
    g_ahead = rays.value(rows, ahead)
    # Plain steps end in the ball of their start: only a relaxed one can leave a gap.
    gap = (g + g_ahead.abs()) / lipschitz < (1 - 1e-6) * step
    if gap.any():
        rays.relaxation[rows[gap]] = 1.0
        ahead = torch.where(gap, t + g / lipschitz, ahead)
        g_ahead[gap] = rays.value(rows[gap], ahead[gap])
    # The bound of |grad f| may be wrong. A ray that stepped through the surface has a bracket, in
    # which its root is found at once.
    through = g_ahead < -threshold
    if through.any():
        rays.overshot[rows[through]] = True
        bracket = _Bracket(
            low=t[through], high=ahead[through], g_low=g[through], g_high=g_ahead[through]
        )
        _bisect_then_secant(rays, rows[through], bracket)
    return rows[~through], ahead[~through], g_ahead[~through]


def _step_from_behind(
    rays: _Rays,
    rows: Tensor,
    front: Tensor,
    far: Tensor,
    steps: int,
    threshold: float,
    lipschitz: float,
) -> Tensor:
    """Depths behind which each ray meets nothing, by steps of g back from ``far``."""
    # The samples that follow are then closer together.
    back = far.clone()
    moving = torch.arange(len(rows), device=rows.device)
    for _ in range(steps + 1):
        g = rays.value(rows[moving], back[moving])
        free = g > threshold
        moving = moving[free]
        back[moving] -= g[free] / lipschitz
        moving = moving[back[moving] > front[moving]]
        if not len(moving):
            break
    return back


def _sample(
    rays: _Rays, rows: Tensor, front: Tensor, g: Tensor, back: Tensor, threshold: float
) -> None:
    """Find the first change of sign among even samples from front to back, and its root."""
    if not len(rows):
        return
    share = torch.arange(SAMPLES + 1, device=front.device).to(front) / SAMPLES
    t = front[:, None] + share * (back - front)[:, None]
    # The value at the front is known.
    g = torch.cat([g[:, None], rays.values(rows, t[:, 1:])], 1)
    under = g <= threshold
    found = torch.nonzero(under.any(1))[:, 0]
    # argmax gives the first; it is not the front, which has not arrived.
    after = under.int().argmax(1)[found]
    bracket = _Bracket(
        low=t[found, after - 1],
        high=t[found, after],
        g_low=g[found, after - 1],
        g_high=g[found, after],
    )
    _secant(rays, rows[found], bracket)


def _bisect_then_secant(rays: _Rays, rows: Tensor, bracket: _Bracket) -> None:
    """Find the root in a bracket that a step of sphere tracing made."""
    # The step may have crossed more than one sheet. Bisection keeps the half nearer to the start,
    # where that half shows a change of sign.
    for _ in range(HALVINGS):
        middle = 0.5 * (bracket.low + bracket.high)
        bracket = bracket.narrowed(middle, rays.value(rows, middle))
    _secant(rays, rows, bracket)


def _secant(rays: _Rays, rows: Tensor, bracket: _Bracket) -> None:
    """Find the root in a bracket by secant steps that never leave it; the depth is recorded."""
    for _ in range(SECANTS):
        t = bracket.secant()
        bracket = bracket.narrowed(t, rays.value(rows, t))
    rays.depth[rows] = bracket.secant()
