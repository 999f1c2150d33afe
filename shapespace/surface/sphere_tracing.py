"""Where rays meet the zero set of a field: sphere tracing, without a mesh.

The first change of sign of f along each ray inside the box [-extent, extent]^3, in four stages with
the constants of IDR (Yariv et al. 2020): steps of |f| from the front, steps from behind for the
rays that have not arrived, 100 samples between both for those still open, and a bracketed secant. A
step is divided by a bound of |grad f|, because f may grow faster than distance.
A ray that begins inside the shape meets the surface from within.

Letters: K rays, R those at work, S samples of a ray, N points, L code length; t is a depth, g is f
with the sign that makes it positive where the ray begins.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import at_least, positive
from shapespace.surface.query import field_gradients, field_values, lipschitz_estimate, unit

STEPS, THRESHOLD = 10, 5e-5
SAMPLES, SECANTS, HALVINGS = 100, 8, 3
RAYS_PER_CALL = 65536


@dataclass(frozen=True)
class Hits:
    """What K rays met, on the device and in the type of the code.

    depth: distance along the ray, in the field's unit; infinite where nothing was met. hit: where
    something was. points: of the hit, or of the smallest f met on the way. gradient: grad f at
    the hit, zero where nothing was met. closest: smallest |f| met, 0 where
    hit, infinite where the box was missed. steps: evaluations of f that the ray took. overshot:
    whether a step went through the surface and had to go back.
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
        """Grad f / |grad f|, outward; zero where nothing was met or grad f is zero."""
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
) -> Hits:
    """The first surface point of ``field(., latent)`` along each ray.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: one code, which may be of length 0; its device and type are those of the work.
        origins: where rays begin, in the field's frame.
        directions: where they go, of any length but 0.
        extent: half side of the box that is searched, in the field's unit.
        start: depths up to which nothing is known to be, inf ends a ray.
        steps: of sphere tracing, from each end.
        threshold: |f| / lipschitz of a hit, a distance, before one last Newton step along the ray.
        lipschitz: bound of |grad f|; None takes that of :func:`lipschitz_estimate`. Where |grad f|
            is larger, thin parts may be overlooked. A bound that is too large only takes longer.

    Raises:
        ValueError: for a direction of length 0 or a ray that is not finite.
    """
    at_least(0, steps=steps)
    positive(extent=extent, threshold=threshold)
    origins, directions = _checked_rays(latent, origins, directions)
    lipschitz = lipschitz_estimate(field, latent, extent) if lipschitz is None else lipschitz
    level, parts = threshold * lipschitz, []
    for first in range(0, max(len(origins), 1), RAYS_PER_CALL):
        part = slice(first, first + RAYS_PER_CALL)
        line = _Line(field, latent, origins[part], directions[part])
        known = None if start is None else start[part].to(latent)
        span = box_span(line.origins, line.directions, extent, known)
        _search(line, span, steps, level, lipschitz)
        parts.append(line.hits(threshold))
    return Hits(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Hits)))


def box_span(
    origins: Tensor, directions: Tensor, extent: float, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Depths at which each ray enters and leaves the box; enters after it leaves: never."""
    parallel = directions == 0
    slope = torch.where(parallel, 1, directions)
    first, second = (-extent - origins) / slope, (extent - origins) / slope
    within = origins.abs() <= extent
    low = torch.where(parallel, torch.where(within, -torch.inf, torch.inf), first.minimum(second))
    high = torch.where(parallel, torch.where(within, torch.inf, -torch.inf), first.maximum(second))
    near, far = low.amax(-1).clamp(min=0), high.amin(-1)
    return near if start is None else near.maximum(start.to(near)), far


def _checked_rays(latent: Tensor, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Rays where the code is, with directions of length 1."""
    origins, directions = origins.detach().to(latent), directions.detach().to(latent)
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    good = torch.isfinite(origins).all(-1) & torch.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not good.all():
        row = int(torch.nonzero(~good)[0, 0])
        raise ValueError(
            f"ray {row} from {origins[row].tolist()} along {directions[row].tolist()}: give finite "
            "origins and directions of a length that is not 0"
        )
    return origins, directions / length


class _Line:
    """A field along K rays; keeps what was asked and what was found."""

    def __init__(self, field: Field, latent: Tensor, origins: Tensor, directions: Tensor) -> None:
        self.field, self.latent = field, latent
        self.origins, self.directions = origins, directions
        count = len(origins)
        self.sign, self.depth = origins.new_ones(count), origins.new_full((count,), torch.inf)
        self.closest, self.where = self.depth.clone(), origins.new_zeros(count)
        self.steps = torch.zeros(count, dtype=torch.long, device=origins.device)
        self.overshot = torch.zeros(count, dtype=torch.bool, device=origins.device)

    def at(self, rows: Int[Tensor, " R"], t: Float[Tensor, "R S"]) -> Float[Tensor, "R S"]:
        """The g at depths of some rays."""
        points = self.origins[rows, None] + t[..., None] * self.directions[rows, None]
        g = field_values(self.field, self.latent, points.reshape(-1, 3)).reshape(t.shape)
        low, index = g.abs().nan_to_num(torch.inf).min(1)
        closer = low < self.closest[rows]
        self.closest[rows] = torch.where(closer, low, self.closest[rows])
        self.where[rows] = torch.where(closer, t.gather(1, index[:, None])[:, 0], self.where[rows])
        self.steps[rows] += t.shape[1]
        return g * self.sign[rows, None]

    def one(self, rows: Int[Tensor, " R"], t: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The g at one depth of each of some rays."""
        return self.at(rows, t[:, None])[:, 0]

    def hits(self, threshold: float) -> Hits:
        """What was found, after a Newton step along the ray."""
        hit = self.depth.isfinite()
        along = torch.where(hit, self.depth, self.where)
        every = torch.zeros_like(self.origins)
        points = self.origins[hit] + along[hit, None] * self.directions[hit]
        value, slopes = field_gradients(self.field, self.latent, points)
        slope = (slopes * self.directions[hit]).sum(-1)
        steep = slope.abs() > 0.1 * torch.linalg.vector_norm(slopes, dim=-1)
        step = torch.where(steep, value / slope, 0).clamp(-10 * threshold, 10 * threshold)
        along[hit] -= step
        every[hit] = slopes
        depth = torch.where(hit, along, self.depth)
        points = self.origins + along[:, None] * self.directions
        closest = torch.where(hit, 0, self.closest)
        return Hits(depth, hit, points, every, closest, self.steps, self.overshot)


def _search(
    line: _Line, span: tuple[Tensor, Tensor], steps: int, threshold: float, lipschitz: float
) -> None:
    """All stages; what is found stands in ``line.depth``."""
    near, far = span
    rows = torch.nonzero(near <= far)[:, 0]
    t = near[rows]
    g = line.one(rows, t)
    line.sign[rows] = torch.where(g < 0, -1.0, 1.0).to(g)
    g = g.abs()
    for _ in range(steps):
        rows, t, g = _arrived(line, rows, t, g, threshold)
        stays = t + g / lipschitz < far[rows]
        rows, t, g = rows[stays], t[stays], g[stays]
        if not len(rows):
            return
        rows, t, g = _step(line, rows, t, g, threshold, lipschitz)
    rows, t, g = _arrived(line, rows, t, g, threshold)
    back = _from_behind(line, rows, t, far[rows], steps, threshold, lipschitz)
    between = back > t
    _sample(line, rows[between], t[between], g[between], back[between], threshold)


def _arrived(
    line: _Line, rows: Tensor, t: Tensor, g: Tensor, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Note the rays that are at the surface; the others."""
    there = g <= threshold
    line.depth[rows[there]] = t[there]
    return rows[~there], t[~there], g[~there]


def _step(
    line: _Line, rows: Tensor, t: Tensor, g: Tensor, threshold: float, lipschitz: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of each ray; those that went through are brought to the root and done."""
    ahead = t + g / lipschitz
    value = line.one(rows, ahead)
    through = value < -threshold
    if through.any():
        low, high = t[through], ahead[through]
        line.overshot[rows[through]] = True
        _bisect_then_secant(line, rows[through], low, high, g[through], value[through])
    return rows[~through], ahead[~through], value[~through]


def _from_behind(
    line: _Line,
    rows: Tensor,
    front: Tensor,
    far: Tensor,
    steps: int,
    threshold: float,
    lipschitz: float,
) -> Tensor:
    """Depth of the last place where something can be: steps of g from the far end."""
    back, moving = far.clone(), torch.arange(len(rows), device=rows.device)
    for _ in range(steps + 1):
        g = line.one(rows[moving], back[moving])
        free = g > threshold
        moving = moving[free]
        back[moving] -= g[free] / lipschitz
        moving = moving[back[moving] > front[moving]]
        if not len(moving):
            break
    return back


def _sample(
    line: _Line, rows: Tensor, front: Tensor, g: Tensor, back: Tensor, threshold: float
) -> None:
    """Look between front and back at even distances; the first change of sign holds the root."""
    if not len(rows):
        return
    share = torch.arange(SAMPLES + 1, device=front.device).to(front) / SAMPLES
    t = front[:, None] + share * (back - front)[:, None]
    g = torch.cat([g[:, None], line.at(rows, t[:, 1:])], 1)
    under = g <= threshold
    found = torch.nonzero(under.any(1))[:, 0]
    after = under.int().argmax(1)[found]
    ends = [pick[found, index] for pick in (t, g) for index in (after - 1, after)]
    _secant(line, rows[found], *ends)


def _bisect_then_secant(
    line: _Line, rows: Tensor, low: Tensor, high: Tensor, g_low: Tensor, g_high: Tensor
) -> None:
    """Go half the step back, three times, keeping what is nearer; then the secant."""
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        g = line.one(rows, middle)
        outside = g > 0
        low, g_low = torch.where(outside, middle, low), torch.where(outside, g, g_low)
        high, g_high = torch.where(outside, high, middle), torch.where(outside, g_high, g)
    _secant(line, rows, low, high, g_low, g_high)


def _secant(
    line: _Line, rows: Tensor, low: Tensor, high: Tensor, g_low: Tensor, g_high: Tensor
) -> None:
    """The zero of the chord, replacing one end or the other."""
    for _ in range(SECANTS):
        t = _chord(low, high, g_low, g_high)
        g = line.one(rows, t)
        outside = g > 0
        low, g_low = torch.where(outside, t, low), torch.where(outside, g, g_low)
        high, g_high = torch.where(outside, high, t), torch.where(outside, g_high, g)
    line.depth[rows] = _chord(low, high, g_low, g_high)


def _chord(low: Tensor, high: Tensor, g_low: Tensor, g_high: Tensor) -> Tensor:
    """Where the straight line through both values is zero, between both ends."""
    drop = g_low - g_high
    share = torch.where(drop > 0, g_low / drop, 0.5)
    return low + share.clamp(0, 1) * (high - low)
