"""A space of bottles from a formula, and depth maps of one: they stand, and have a neck."""

import numpy as np
import torch

from shapespace.cameras.images import write_depth
from shapespace.codes import LatentCodes
from shapespace.decoders.base import Decoder
from shapespace.objectives import IGR
from shapespace.reconstruction.views.render import write_views
from shapespace.rendering.meshes import save_image
from shapespace.sampling import NearSurface
from shapespace.scan import Frame
from shapespace.space import TrainedSpace


class Bottles(Decoder):
    """A large ball with a small one on top, joined smoothly; the code is the log of the radius."""

    dimension = 3
    latent_size = 1

    def __init__(self):
        super().__init__()
        self.radius = torch.nn.Parameter(torch.tensor(0.35))

    def forward(self, points, latent):
        low = points - points.new_tensor([0.0, -0.2, 0.0])
        high = points - points.new_tensor([0.0, 0.35, 0.05])
        large = low.norm(dim=-1) - self.radius.to(points) * latent.exp()
        return -0.02 * torch.logsumexp(torch.stack([-large, 0.17 - high.norm(dim=-1)]) / 0.02, 0)


def bottle_space(num=7):
    codes = LatentCodes(num, 1)
    codes.names = tuple(f"bottle_{row}" for row in range(num))
    codes.frames = tuple(Frame(np.zeros(3)) for _ in range(num))
    with torch.no_grad():
        codes.table.weight.copy_(torch.linspace(-0.3, 0.3, num)[:, None])
    decoder = Bottles().requires_grad_(False)
    return TrainedSpace(decoder, codes.requires_grad_(False), IGR(), NearSurface(extent=1.2))


TRUE = torch.tensor([0.12])


def write_bottle(folder, cameras, **options):
    """Depth maps, masks and transforms.json of a bottle that is no training shape."""
    return write_views(bottle_space(), TRUE, cameras, folder, **options)


def rewritten(views, folder, factor):
    """The depth maps of views as NPY files, in another unit."""
    return [
        write_depth(folder / f"depth_{row:03d}.npy", view.depth * factor)
        for row, view in enumerate(views)
    ]


def blank(path, height, width, value=0):
    save_image(np.full((height, width), value, np.uint8), path)
    return path
