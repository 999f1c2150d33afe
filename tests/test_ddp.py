"""Ranks and one process on the union of their batches are the same training."""

import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT, TOY


def train(folder, store, latent_size, options):
    arguments = [
        f"--config={TOY}",
        f"--data.store={store}",
        f"--trainer.default_root_dir={folder}",
        f"--model.decoder.init_args.latent_size={latent_size}",
        "--model.sampler=tests.parts.Inflated",
        "--data.num_points=64",
        "--trainer.max_epochs=3",
        "--preview.every=1000",
        *options,
    ]
    subprocess.run(
        [sys.executable, "-m", "shapespace", "fit", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=240,
    )
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("latent_size", [8, 0])
def test_two_ranks_equal_one_process(tmp_path, toy_store, latent_size):
    one = train(tmp_path / "one", toy_store, latent_size, ["--data.batch_size=2"])
    ranks = ["--data.batch_size=1", "--trainer.devices=2", "--trainer.strategy=ddp"]
    two = train(tmp_path / "two", toy_store, latent_size, ranks)
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)
    assert len((tmp_path / "two" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.slow
def test_ranks_with_different_free_memory_do_not_wait_for_each_other(tmp_path, toy_store):
    one = train(tmp_path / "one", toy_store, 8, ["--data.batch_size=4"])
    ranks = ["--data.batch_size=2", "--trainer.devices=2", "--trainer.strategy=ddp"]
    uneven = [*ranks, "--model.sampler=tests.parts.Uneven"]
    two = train(tmp_path / "two", toy_store, 8, uneven)
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_equals_cpu(tmp_path, toy_store):
    results = [
        train(tmp_path / kind, toy_store, 8, [f"--trainer.accelerator={kind}"])
        for kind in ("cpu", "gpu")
    ]
    for name, value in results[0].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(results[1][name].cpu(), value, rtol=1e-3, atol=1e-4)
