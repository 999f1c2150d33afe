import pytest
import torch

from shapespace.fitting.robust import Robust


@pytest.mark.parametrize("loss", ["squares", "huber", "geman-mcclure"])
def test_weight_is_the_derivative_over_the_residual(loss):
    robust = Robust(loss, 0.3)
    r = torch.tensor([[-2.0, -0.3, -0.1, 1e-6, 0.2, 0.31, 5.0]]).double().requires_grad_()
    (slope,) = torch.autograd.grad(robust.cost(r).sum(), r)
    torch.testing.assert_close(robust.weight(r) * r, slope, rtol=1e-12, atol=1e-15)
    small = torch.tensor([[1e-4]]).double()
    torch.testing.assert_close(robust.cost(small), 0.5 * small.square(), rtol=1e-6, atol=0)


def test_what_lies_far_off_pulls_less_and_less():
    far = torch.tensor([[1e3]]).double()
    assert Robust("geman-mcclure", 0.1).cost(far).item() == pytest.approx(0.005, rel=1e-4)
    assert Robust("huber", 0.1).cost(far).item() == pytest.approx(0.1 * 1e3, rel=1e-3)
