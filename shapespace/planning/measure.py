"""Measured steps of a training: one process, made-up scans, no file in the run folder."""

import time
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader, TensorDataset

from shapespace.errors import InputError, one_line
from shapespace.planning.estimate import FITTING, Job, Measured, MeasuredStep
from shapespace.sampling import samples_of_visits
from shapespace.scan import OF_TARGETS, Frame, Need, Scan, TargetSamples, scans_at_once
from shapespace.training.batches import Batch, Step
from shapespace.training.callbacks.signals import Signals
from shapespace.training.cli import TrainingCLI
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace
from shapespace.training.validation.callback import validate
from shapespace.training.validation.held_out import HeldOut, frozen_decoder
from shapespace.utils.memory import forget_largest, free_memory, largest_memory, used_memory

LONGEST_STEP = 1.5
"""Seconds of a step after which no larger one is measured."""
REPEATS = 3
"""Measured steps of each size, after a first one that is not counted."""
GROWTH = 4
"""Factor from one number of points to the next."""
ALONE = {
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "limit_train_batches": 1.0,
    "min_epochs": None,
    "min_steps": None,
    "logger": False,
    "profiler": None,
    "enable_checkpointing": False,
}
"""Options of a trainer that measures in one process and writes nothing."""


class PlanCLI(TrainingCLI):
    """The parts of a training as ``shapespace train`` builds them, for one process.

    Args:
        args: options of ``shapespace train``.
        num_scans: scans to plan for without a store; None takes those of the store.
    """

    def __init__(self, args: Sequence[str], num_scans: int | None) -> None:
        self.num_scans = num_scans
        super().__init__(
            args,
            signals=Signals(),
            held=ExitStack(),
            save_config_callback=None,
        )

    def before_instantiate_classes(self) -> None:
        """Replace the store by N scans if they were asked for; otherwise the store must exist."""
        config = self.config["fit"]
        if self.num_scans is not None:
            # The number of scans is all that the model takes from the data.
            without_store = SimpleNamespace(num_scans=self.num_scans)
            self.parser.add_instantiator(lambda *_, **__: without_store, ScanData, prepend=True)
        elif not Path(config.data.store).exists():
            raise InputError(
                f"{config.data.store}: there is no such file; give a store as --data.store, or "
                "--scans N to plan for N scans without one"
            )

    @contextmanager
    def run_folder(self) -> Iterator[None]:
        """Make no run folder: nothing is trained."""
        yield

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build a trainer of one process, without callbacks."""
        options = {**self.config_init["fit"].trainer, **ALONE, **kwargs}
        # The environment of a cluster would start or wait for other ranks.
        options |= {"callbacks": [], "plugins": [LightningEnvironment()]}
        return pl.Trainer(**options)

    def before_fit(self) -> None:
        """Check that the store holds what is read of it; neither lock nor resume the run folder."""
        if isinstance(self.datamodule, ScanData):
            model: ShapeSpace = self.model
            self.datamodule.serve(model.decoder, model.objective, model.sampler)

    def fit(self, **_: Any) -> None:
        """Do not train: LightningCLI calls this in place of the trainer's ``fit``."""

    def job(self, ranks: int | None) -> Job:
        """Describe the training that the options ask for.

        Args:
            ranks: number of ranks; None takes trainer.devices x trainer.num_nodes.
        """
        data = self.config["fit"].data
        trainer = self.config["fit"].trainer
        validation = self.config["fit"].validation
        limit = trainer.limit_train_batches
        devices = num_devices(trainer.devices, trainer.accelerator)
        return Job(
            ranks=devices * trainer.num_nodes if ranks is None else ranks,
            num_scans=len(self.model.codes),
            latent_size=self.model.decoder.latent_size,
            num_numbers=sum(p.numel() for p in self.model.decoder.parameters() if p.requires_grad),
            batch_size=data.batch_size,
            num_points=data.num_points,
            repeats=data.repeats,
            drop_last=data.drop_last,
            max_epochs=None if self.trainer.max_epochs in (None, -1) else self.trainer.max_epochs,
            max_steps=None if trainer.max_steps == -1 else trainer.max_steps,
            # 0 may be read as int or float, a number or a share of batches: none either way.
            limit=1.0 if limit is None else limit or 0.0,
            validate_every=validation.every,
            held_out=0 if data.validation is None else validation.num_scans,
            validation_share=validation.share,
        )


class StepTable(pl.Callback):
    """Measures steps of growing size on made-up scans when a training starts, and ends it.

    Args:
        job: the training.
        free: memory that is free before the training, in bytes.
    """

    def __init__(self, job: Job, free: int) -> None:
        self.job = job
        self.free = free
        self.steps: list[MeasuredStep] = []
        self.base = 0
        self.validation = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure steps until one would take too long or too much memory."""
        assert isinstance(pl_module, ShapeSpace)
        for scans, num_points in sizes(self.job.scans_of_a_step, self.job.num_points):
            # The first step is too small to be scaled: there is always a second one.
            if len(self.steps) > 1 and not self._is_affordable(pl_module, scans * num_points):
                break
            self.steps.append(self._measured(pl_module, scans, num_points))
            # The first step loads libraries and makes gradients and moments: no activations.
            self.base = self.base or used_memory(pl_module.device)
        if self.job.held_out:
            self.validation = _seconds_of_validation(pl_module, self.job.num_points)
        trainer.should_stop = True

    def _is_affordable(self, module: ShapeSpace, surface: int) -> bool:
        """True if a step of ``surface`` points is likely to fit into time and memory."""
        last = self.steps[-1]
        points = surface / last.surface * last.points
        at_once = min(points, module.most_points or points)
        fits = at_once * last.bytes_per_point <= FITTING * self.free
        return fits and last.seconds <= LONGEST_STEP

    def _measured(self, module: ShapeSpace, scans: int, num_points: int) -> MeasuredStep:
        """Take a few steps of one size on made-up scans."""
        batch = _made_up(
            num_scans=scans,
            num_points=num_points,
            dimension=module.decoder.dimension,
            table=self.job.num_scans,
            needs=module.objective.needs,
        ).to(module.device)
        module.decoder.drop_memory()
        forget_largest(module.device)
        seconds = [_seconds(module, batch) for _ in range(1 + REPEATS)]
        taken = max(0, largest_memory(module.device) - self.base)
        each = samples_of_visits(module.sampler, batch.scan[:1], seed=0, visits=[0]).num_points
        # Activations live from the forward to the backward pass, which takes whole scans.
        at_once = each * scans_at_once(scans, each, module.most_points)
        return MeasuredStep(
            scans=scans,
            surface=scans * num_points,
            points=scans * each,
            seconds=min(seconds[1:]),
            bytes_per_point=taken / at_once or float(module.decoder.bytes_per_point()),
        )


def measure(cli: PlanCLI, job: Job) -> Measured:
    """Measure steps of the training ``job``, in about half a minute."""
    model: ShapeSpace = cli.model
    trainer = cli.trainer
    # Named so that codes of two factors find subjects.
    names = [f"{row % 100}_scan_{row:012d}" for row in range(job.num_scans)]
    model.codes.assign(names, [Frame(np.zeros(model.decoder.dimension))] * job.num_scans)
    device = trainer.strategy.root_device
    table = StepTable(job, free_memory(device))
    trainer.callbacks.append(table)  # pyright: ignore[reportAttributeAccessIssue]
    trainer.fit(model, train_dataloaders=DataLoader(TensorDataset(torch.zeros(1))))
    with TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint")
        trainer.save_checkpoint(path)
        checkpoint = path.stat().st_size
    memory = {
        "decoder": _bytes_of(model.decoder, trainer.optimizers),
        "codes": _bytes_of(model.codes, trainer.optimizers),
    }
    on_cpu = device.type == "cpu"
    memory["program"] = max(0, table.base - sum(memory.values())) if on_cpu else 0
    threads = f"the CPU with torch's {torch.get_num_threads()} thread(s)"
    return Measured(
        device=threads if on_cpu else torch.cuda.get_device_name(device),
        steps=tuple(table.steps),
        memory=memory,
        checkpoint=checkpoint,
        free=table.free,
        most_points=model.most_points,
        validation=table.validation,
    )


def sizes(batch_size: int, num_points: int) -> Iterator[tuple[int, int]]:
    """Yield (scans, points of each scan) of growing steps, up to twice the whole batch."""
    points = 16
    while points < num_points:
        yield 1, points
        points *= GROWTH
    scans = 1
    while scans < batch_size:
        yield scans, num_points
        scans *= 2
    yield batch_size, num_points
    yield 2 * batch_size, num_points


def _made_up(
    num_scans: int, num_points: int, *, dimension: int, table: int, needs: Set[Need]
) -> Batch:
    """Make a batch of balls of radius 0.5, with normals, and targets if they are needed.

    Args:
        num_scans: scans of the batch.
        num_points: surface points of each scan.
        dimension: 2 or 3.
        table: number of codes, which the scans use in turn.
        needs: of the objective. There are as many targets as points.
    """
    normals = normalize(torch.randn(num_scans, num_points, dimension), dim=-1)
    index = torch.arange(num_scans) % table
    scan = Scan(
        index=index,
        points=0.5 * normals,
        normals=normals,
        sigma=torch.full((num_scans, num_points), 0.02),
        targets=_made_up_targets(normals, needs) if needs & OF_TARGETS else None,
    )
    visits = tuple((row, number) for number, row in enumerate(index.tolist()))
    weights = (1 / num_scans,) * num_scans
    return Batch(scan, Step(visits=visits, weights=weights, num_scans=num_scans, end=num_scans))


def _made_up_targets(like: Tensor, needs: Set[Need]) -> TargetSamples:
    """Make points in a box, as many as ``like`` has, with their distances to these balls."""
    around = torch.rand_like(like) * 2 - 1
    radius = torch.linalg.vector_norm(around, dim=-1)
    gradient = around / radius[..., None] if "distance_gradient" in needs else None
    targets = TargetSamples(around, radius - 0.5, gradient, signed=True)
    return targets if "signed" in needs else targets.unsigned()


def _seconds(module: ShapeSpace, batch: Batch) -> float:
    """Duration of one step."""
    start = time.perf_counter()
    module.training_step(batch, 0)
    if module.device.type == "cuda":
        torch.cuda.synchronize(module.device)
    return time.perf_counter() - start


def _seconds_of_validation(module: ShapeSpace, num_points: int) -> float:
    """Duration of the fit of a made-up held-out scan."""
    scan = _made_up(
        num_scans=1,
        num_points=num_points,
        dimension=module.decoder.dimension,
        table=1,
        needs=frozenset(),
    ).scan
    start = time.perf_counter()
    validate(module, HeldOut("made up", scan, None), frozen_decoder(module.decoder))
    return time.perf_counter() - start


def num_devices(devices: object, accelerator: object) -> int:
    """Count the processes of a node; for "auto" and -1, the GPUs of this machine.

    Args:
        devices: ``trainer.devices``: a number, a list of GPUs, "0,2", "auto" or -1.
        accelerator: ``trainer.accelerator``; on a CPU, "auto" is one process.
    """
    if isinstance(devices, list):
        return len(devices)
    text = str(devices)
    if text in ("auto", "-1"):
        return max(1, torch.cuda.device_count()) if accelerator != "cpu" else 1
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"trainer.devices={one_line(text)}: give a number of at least 1, or auto")
    return int(text)


def _bytes_of(part: nn.Module, optimisers: list[torch.optim.Optimizer]) -> int:
    """Bytes of parameters, dense gradients and moments of the optimisers.

    Sparse gradients, which hold the rows of a batch only, count as activations.
    """
    tensors: list[Tensor] = []
    for parameter in part.parameters():
        tensors.append(parameter)
        if parameter.grad is not None and not parameter.grad.is_sparse:
            tensors.append(parameter.grad)
        for optimiser in optimisers:
            state = optimiser.state.get(parameter, {}).values()
            tensors += [value for value in state if isinstance(value, Tensor)]
    return sum(tensor.nbytes for tensor in tensors)
