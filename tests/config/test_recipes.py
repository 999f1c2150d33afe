"""Every recipe parses and takes a step; the toy recipe's losses stand in writing."""

import csv
from pathlib import Path

import pytest
import yaml

from shapespace.config.recipes import RECIPES as RECIPE_FILES
from shapespace.config.recipes import with_recipes
from shapespace.training.cli import train

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))

# Changing these needs a line in CHANGELOG that says why.
FIRST_LOSSES = [0.919368, 0.650213, 0.456100, 0.351566, 0.336741]

PRINT = ["--print_config"]


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_first_five_losses_of_the_toy_recipe(tmp_path, toy_store):
    train(
        [
            f"--config={ROOT / 'configs/toy.yaml'}",
            f"--data.store={toy_store}",
            f"--trainer.default_root_dir={tmp_path}",
        ]
    )
    assert losses(tmp_path) == pytest.approx(FIRST_LOSSES, rel=1e-4)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("hardware", ["cpu.yaml"])
def test_every_recipe_takes_a_step(name, hardware, tmp_path, toy_store):
    names = tmp_path / "scans.txt"
    names.write_text("\n".join(toy_names(toy_store)[: 1 if name == "surface.yaml" else 2]))
    train(
        [
            f"--config={ROOT / 'configs' / name}",
            f"--config={ROOT / 'configs/hardware' / hardware}",
            f"--data.store={toy_store}",
            f"--data.scans={names}",
            "--data.num_points=64",
            "--data.batch_size=1",
            "--data.repeats=1",
            "--trainer.max_epochs=1",
            f"--trainer.default_root_dir={tmp_path}",
        ]
    )
    assert len(losses(tmp_path)) == 1


def test_gpu_overlay_is_understood(capsys):
    names = ("dfaust.yaml", "hardware/gpu.yaml")
    configs = [f"--config={ROOT / 'configs' / name}" for name in names]
    with pytest.raises(SystemExit) as exit_code:
        train([*configs, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert exit_code.value.code == 0
    assert printed["trainer"]["accelerator"] == "gpu" and printed["data"]["num_workers"] == 4
    assert printed["model"]["decoder"]["init_args"]["latent_size"] == 256


def test_a_packaged_recipe_is_known_by_its_name(capsys):
    with pytest.raises(SystemExit):
        train([f"--config={ROOT / 'configs/bodies-cpu.yaml'}", "--config", "igr-published", *PRINT])
    model = yaml.safe_load(capsys.readouterr().out)["model"]
    assert model["decoder"]["class_path"] == "shapespace.decoders.PublishedMLP"
    assert model["decoder"]["init_args"]["width"] == 256, "the size of the recipe below it"
    assert (model["optimiser"], model["code_optimiser"]) == ("adam", "dense")
    assert model["sampler"]["init_args"]["sigma"] == 0.01


def test_the_published_recipe_fits_on_the_demo_s(capsys):
    with pytest.raises(SystemExit):
        train(["--config=demo", "--config=igr-published", *PRINT])
    model = yaml.safe_load(capsys.readouterr().out)["model"]
    assert model["objective"]["init_args"]["outside"] == 0


def test_a_file_comes_before_a_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(RECIPE_FILES["demo"])
    assert with_recipes(["--config", "demo", "-c", "x", "--config=demo", "demo"]) == [
        *("--config", path, "-c", "x", f"--config={path}", "demo")
    ]
    Path("demo").mkdir()
    assert with_recipes(["--config=demo"]) == [f"--config={path}"], "a folder is no config"
    Path("demo").rmdir()
    Path("demo").write_text("seed_everything: 1")
    assert with_recipes(["--config=demo"]) == ["--config=demo"]


def toy_names(path):
    from shapespace.data.store.store import ScanStore

    return ScanStore(path).names
