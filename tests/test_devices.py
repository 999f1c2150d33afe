"""Steps, Jacobians, fits, meshes, rays and corrections work where tensors of the CPU are refused.

On the second device all numbers are those of the CPU, so that results are equal.
"""

import copy

import numpy as np
import pytest
import torch
import trimesh

from shapespace import decoders
from shapespace.codes import LatentCodes
from shapespace.data.names import subjects_of
from shapespace.decoders import Siren, SkipMLP
from shapespace.decoders.derivatives import as_distance, laplacian
from shapespace.elastic.bent import BentField, BentShape
from shapespace.elastic.correction import corrected
from shapespace.elastic.graph import deformation_graph
from shapespace.encoders.factors import FactorCodes, Held, HeldPart
from shapespace.encoders.pointnet import PointNet
from shapespace.fitting.pose import Pose
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import State
from shapespace.fitting.search import Search, Stage
from shapespace.fitting.uncertainty import surface_deviation
from shapespace.objectives import IGR
from shapespace.objectives.second_order.divergence import DiGS
from shapespace.sampling import NearSurface, samples_of_visits
from shapespace.scan import Frame, Scan
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.surface.sphere_tracing import trace
from shapespace.training.validation.held_out import HeldOut, errors_of
from tests.elsewhere import Elsewhere, elsewhere, moved

SIZES = {"latent_size": 4, "width": 16, "depth": 3}
STAGES = (Stage(60, 16.0, 3, 2), Stage(100, 3.0, 3, 1))


@pytest.fixture
def device(monkeypatch):
    with elsewhere(monkeypatch) as found:
        yield found


def here(value):
    """The numbers of a result, on the CPU."""
    return value.inner if isinstance(value, Elsewhere) else value


def scan_of():
    generator = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(2, 120, 3, generator=generator), dim=-1)
    axes = torch.tensor([[[1.0, 0.8, 0.9]], [[0.7, 1.0, 1.0]]])
    normals = torch.nn.functional.normalize(unit / axes, dim=-1)
    return Scan(torch.tensor([1, 0]), unit * axes, normals, torch.full((2, 120), 0.05))


@pytest.fixture(scope="module")
def space(toy_checkpoint):
    return TrainedSpace.load(toy_checkpoint, "cpu")


def both(work, *parts):
    """What ``work`` gives of the parts on the CPU and on the second device."""
    cpu = work(*copy.deepcopy(parts))
    there = work(*(_moved(part) for part in copy.deepcopy(parts)))
    return cpu, there


def _moved(part):
    if isinstance(part, torch.nn.Module):
        return moved(part)
    return part.to("meta") if hasattr(part, "to") else part


def test_the_second_device_refuses_what_a_gpu_would(device):
    zeros = torch.zeros(3, device=device)
    assert isinstance(zeros, Elsewhere) and zeros.device.type == "meta"
    with pytest.raises(RuntimeError, match="tensors of two devices"):
        zeros + torch.ones(3)
    with pytest.raises(RuntimeError, match="tensors of two devices"):
        torch.ones(3)[zeros.long()]
    with pytest.raises(RuntimeError, match=r"numpy\(\)"):
        zeros.numpy()
    assert here(zeros[torch.tensor([0, 1])] + torch.tensor(2.0)).tolist() == [2, 2]
    assert zeros.cpu().numpy().tolist() == [0, 0, 0]
    zeros[1:] = torch.arange(2.0).to(zeros) + 1
    assert zeros.tolist() == [0, 1, 2]


KINDS = [
    *(SkipMLP(**SIZES, skip=1, precision=kind) for kind in ("float32", "mixed", "bfloat16")),
    decoders.PublishedMLP(**SIZES, skip=1),
    Siren(**SIZES),
    decoders.FourierMLP(**SIZES, frequencies=4, skip=0),
    decoders.PositionalMLP(**SIZES, skip=0),
    decoders.ReluMLP(**SIZES, skip=1),
    decoders.ImNet(latent_size=4, features=8),
    decoders.OccupancyResNet(latent_size=4, width=16),
    decoders.GridMLP(latent_size=4, width=16),
]


@pytest.mark.parametrize("decoder", KINDS, ids=lambda kind: type(kind).__name__)
def test_decoders(decoder, device):
    points = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)) / 2
    latent = 0.1 * torch.randn(2, 4, generator=torch.Generator().manual_seed(2))

    def work(decoder, points, latent):
        f, g = decoder.value_and_gradient(points, latent)
        (f.sum() + g.square().sum()).backward()
        slopes = [p.grad for p in decoder.parameters() if p.grad is not None]
        found = [f.detach(), g.detach(), *decoder.jacobian(points, latent), *slopes]
        if decoder.twice_differentiable:
            found.append(laplacian(decoder, points, latent).detach())
        return found

    cpu, there = both(work, decoder, points, latent)
    assert all(isinstance(part, Elsewhere) for part in there)
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one, here(two))


@pytest.mark.parametrize("objective", [IGR(), DiGS()], ids=["igr", "digs"])
def test_a_step(objective, device):
    torch.manual_seed(0)
    parts = Siren(**SIZES), LatentCodes(3, 4, 0.1), scan_of(), objective

    def work(decoder, codes, scan, objective):
        optimiser = torch.optim.Adam(decoder.parameters(), 1e-3)
        codes.table.sparse = False  # torch has no sparse tensors of another kind
        samples = samples_of_visits(NearSurface(0.05), scan, seed=0, visits=[3, 4])
        terms = objective.terms(decoder, samples, codes(scan.index))
        objective.total(terms).sum().backward()
        optimiser.step()
        codes.hold_norms(scan.index)
        return [*terms.values(), *(p for p in decoder.parameters()), codes.table.weight.grad]

    cpu, there = both(work, *parts)
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one.detach(), here(two.detach()))


@pytest.mark.parametrize("freedom", ["none", "shift", "similarity"])
@pytest.mark.parametrize("kind", ["distance", "logit"])
def test_a_fit(freedom, kind, space, device):
    search = Search(freedom=freedom, stages=STAGES, starts=3, turned_starts=3, angles=2, even=True)

    def work(decoder, codes, scan):
        metric = as_distance(decoder, kind, codes, 1.8)
        found = search(metric, scan, codes)
        state = State(found.codes, found.poses)
        deviation = surface_deviation(
            metric,
            scan.points,
            state,
            covariances=found.covariances,
            spread=found.scatter,
            freedom=freedom,
        )
        return found.codes, found.distances, found.covariances, deviation, found.prior_distance

    table = space.codes.table.weight.detach()
    cpu, there = both(work, space.decoder, table, scan_of())
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one, here(two))


def test_a_fit_with_a_held_part_and_a_refinement(space, device):
    table = space.codes.table.weight.detach()

    def work(decoder, codes, scan):
        part = HeldPart.of(decoder, Held("identity", codes[0]), 3)
        found = Search(stages=STAGES, starts=2).holding(part, decoder, scan, codes=codes)
        one = scan[:1]
        refined = Refinement(2, num_points=50)(
            decoder, one, found.codes[:1], size=0.9, objective=IGR(), sampler=NearSurface(0.05)
        )
        return found.codes, refined(one.points, found.codes[:1])

    cpu, there = both(work, space.decoder, table, scan_of())
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one.detach(), here(two.detach()))


def test_a_validation_and_an_encoder(space, device):
    scan = scan_of()[:1]

    def work(decoder, codes):
        there = HeldOut("a", scan, np.ones((3, 3)))
        return errors_of(decoder, codes, there, kind="distance", extent=1.8)

    cpu, there = both(work, space.decoder, space.codes)
    assert tuple(cpu) == pytest.approx(tuple(there))
    encode, encoded = both(lambda net, at: net(at)[0], PointNet(4, width=8), scan.points)
    torch.testing.assert_close(encode, here(encoded))


def test_meshes_and_rays(space, device):
    code = space.code("ball")
    cpu, there = both(
        lambda f, z: extract_mesh(f, z, 16, newton_steps=2, normals=True), space.decoder, code
    )
    np.testing.assert_array_equal(cpu.faces, there.faces)
    np.testing.assert_allclose(cpu.vertices, there.vertices, atol=1e-6)

    def rays(decoder, code, origins):
        hits = trace(decoder, code, origins, -origins)
        return hits.depth, hits.normals

    origins = 1.7 * torch.nn.functional.normalize(torch.randn(40, 3), dim=-1)
    cpu, there = both(rays, space.decoder, code, origins)
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one, here(two))


def test_a_correction(device):
    """The field of a bent sphere is evaluated on the device; the rest of it is NumPy."""

    def ball(points, latent):
        return torch.linalg.vector_norm(points, dim=-1) - 0.5 + latent.sum(-1, keepdim=True)

    mesh = trimesh.creation.icosphere(2, 0.5)
    graph = deformation_graph(mesh, 0.25)
    points = 0.53 * np.asarray(trimesh.creation.icosphere(3, 1.0).vertices)

    def work(code):
        shape = BentShape("", code, graph, graph.at_rest(), 0.0, 0.0, 0.0)
        field = BentField(ball, shape)
        dense = np.asarray(trimesh.creation.icosphere(4, 0.5).vertices)
        found = corrected(field, dense, points, None)
        return field.values(points), found.mesh(0.05).vertices

    cpu, there = both(work, torch.zeros(2))
    for one, two in zip(cpu, there, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_codes_of_two_parts(device):
    names = ["anna_run_1", "bert_run_1", "anna_run_2"]
    factors = FactorCodes(3, 4, 2, subjects_of, init_std=0.1, max_norm=0.2)
    factors.assign(names, [Frame(np.zeros(3))] * 3)

    def work(codes, rows):
        with torch.no_grad():
            codes.posture.weight[rows] += 0.1
        codes.settle(rows, lambda part: part[None])
        return codes.table.weight, codes(rows)

    cpu, there = both(work, factors, torch.tensor([0, 2]))
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one.detach(), here(two.detach()))


def test_poses(device):
    def work(points):
        pose = Pose.identity(2, points).moved(0.1 * points[:, 0].repeat(1, 3)[:, :7], "similarity")
        return pose(points), pose.back(points), pose.exact()(points.double().cpu())

    cpu, there = both(work, scan_of().points)
    for one, two in zip(cpu, there, strict=True):
        torch.testing.assert_close(one, here(two))
