"""Fields whose distance is known exactly, as ``(points [B,N,D], latent) -> sdf [B,N]``."""

import torch


def sphere(radius=0.6):
    return lambda points, latent: torch.linalg.vector_norm(points, dim=-1) - radius


def torus(major=0.6, minor=0.2):
    def field(points, latent):
        ring = torch.linalg.vector_norm(points[..., :2], dim=-1) - major
        return torch.hypot(ring, points[..., 2]) - minor

    return field


def box(half=(0.5, 0.3, 0.4)):
    def field(points, latent):
        q = points.abs() - torch.tensor(half, dtype=points.dtype)
        outside = torch.linalg.vector_norm(q.clamp(min=0), dim=-1)
        return outside + q.amax(-1).clamp(max=0)

    return field


def capsule(half_length=0.5, radius=0.25):
    def field(points, latent):
        along = points[..., 1].clamp(-half_length, half_length)
        axis = torch.stack([0 * along, along, 0 * along], -1)
        return torch.linalg.vector_norm(points - axis, dim=-1) - radius

    return field


def two_spheres(distance=1.0, radii=(0.4, 0.2)):
    def field(points, latent):
        shift = torch.tensor([distance, 0.0, 0.0], dtype=points.dtype)
        first = torch.linalg.vector_norm(points, dim=-1) - radii[0]
        return torch.minimum(first, torch.linalg.vector_norm(points - shift, dim=-1) - radii[1])

    return field


# Spaces of exact shapes: the code says how the shape moves.


def moving_capsule(half_length=0.5, radius=0.15):
    """A capsule along x. Code: a shift in x, y, z, and an angle about z; a rigid motion."""

    def field(points, latent):
        shift, angle = latent[:, None, :3], latent[:, None, 3]
        x, y, z = (points - shift).unbind(-1)
        along, across = angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x
        rest = along - along.clamp(-half_length, half_length)
        return torch.sqrt(rest**2 + across**2 + z**2) - radius

    return field


def bending_capsule(half_length=0.5, radius=0.1):
    """A capsule about an arc through the origin, of constant length. Code: its curvature, > 0."""

    def field(points, latent):
        curvature = latent[:, None, 0]
        bend = 1 / curvature
        x, y, z = points.unbind(-1)
        angle = torch.atan2(x, bend - y)
        from_axis = torch.hypot(x, y - bend)
        most = half_length * curvature
        end = torch.stack([bend * most.sin(), bend - bend * most.cos()], -1)
        to_end = torch.hypot(x.abs() - end[..., 0], y - end[..., 1])
        planar = torch.where(angle.abs() <= most, (from_axis - bend).abs(), to_end)
        return torch.hypot(planar, z) - radius

    return field


def shrinking_capsule(radius=0.15):
    """A capsule along x from -0.5 to an end of x = the code."""

    def field(points, latent):
        x, y, z = points.unbind(-1)
        rest = x - torch.minimum(x.clamp(min=-0.5), latent[:, None, 0])
        return torch.sqrt(rest**2 + y**2 + z**2) - radius

    return field


def blended_capsules(angle=1.0, half_length=0.5, radius=0.15):
    """The distances of two capsules, the second turned by an angle, blended. Code: the share."""
    capsule_at = moving_capsule(half_length, radius)

    def field(points, latent):
        share = latent[:, None, 0]
        codes = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, angle]], dtype=points.dtype)
        first, second = (capsule_at(points, code.expand(len(points), 4)) for code in codes)
        return (1 - share) * first + share * second

    return field
