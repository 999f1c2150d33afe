"""The published formulation of IGR (Gropp et al. 2020), with the weights of a ``SkipMLP``."""

import torch
import torch.nn.functional as F

from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.objectives.terms import eikonal
from shapespace.scan import Samples


class PublishedMLP(SkipMLP):
    """The code beside every point, softplus by torch, grad f by autograd with a graph."""

    def forward(self, points, latent):
        code = latent[:, None].expand(-1, points.shape[1], -1)
        inputs = hidden = torch.cat([code, points], -1).flatten(0, 1)
        for index, linear in enumerate(self.linears()):
            if index and index == self.skip:
                hidden = torch.cat([hidden, inputs], -1) / 2**0.5
            hidden = linear(hidden)
            if index + 1 < len(self.layers):
                hidden = F.softplus(hidden, self.beta)
        return hidden.view(points.shape[:2])

    def value_and_gradient(self, points, latent, first=0, last=None):
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            sdf = self(points, latent)
            ones = torch.ones_like(sdf)
            (gradient,) = torch.autograd.grad(sdf, points, ones, create_graph=self.training)
        return sdf[:, :last], gradient[:, first:]


class PublishedIGR(IGR):
    """The IGR loss from two evaluations, one of the surface and one of the space points."""

    def terms(self, field, samples, latent):
        nowhere = samples.surface[:, :0]
        surface = super().terms(field, Samples(samples.surface, samples.normals, nowhere), latent)
        _, gradient = field.value_and_gradient(samples.space, latent)
        return surface | {"eikonal": eikonal(gradient)}
