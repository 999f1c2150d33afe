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
