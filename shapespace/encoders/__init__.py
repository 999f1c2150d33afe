"""Networks that read a scan and give its code."""

from shapespace.encoders.base import Encoder
from shapespace.encoders.pointnet import PointNet

__all__ = ["Encoder", "PointNet"]
