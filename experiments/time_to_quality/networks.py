"""The published formulation of the decoder, with the weights of a ``SkipMLP``."""

import math

import torch
import torch.nn.functional as F

from shapespace.decoders import SkipMLP


class PublishedMLP(SkipMLP):
    """The code beside every point, softplus by torch, the gradient by autograd."""

    def forward(self, points, latent):
        code = latent.unsqueeze(1).expand(-1, points.shape[1], -1)
        inputs = hidden = torch.cat([code, points], -1)
        for index, layer in enumerate(self.linears()):
            if index and index == self.skip:
                hidden = torch.cat([hidden, inputs], -1) / math.sqrt(2)
            hidden = layer(hidden)
            if index < len(self.layers) - 1:
                hidden = F.softplus(hidden, self.beta)
        return hidden.squeeze(-1)

    def value_and_gradient(self, points, latent, first=0):
        assert first == 0
        points = points.detach().requires_grad_()
        with torch.enable_grad():
            sdf = self(points, latent)
            (gradient,) = torch.autograd.grad(sdf.sum(), points, create_graph=self.training)
        return sdf, gradient
