"""The command line: instant help, one line for every mistake of the user, nothing half-written."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import trimesh

from shapespace.cli.main import (
    COMMANDS,
    GROUPS,
    OLD_NAMES,
    OWN_PARSER,
    function_name,
    main,
    usage,
)
from shapespace.config.arguments import build_parser
from shapespace.data.store.store import ScanStore
from shapespace.errors import one_line
from shapespace.version import __version__

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = {
    name: getattr(importlib.import_module(f"shapespace.{module}"), function_name(name[-1]))
    for name, module in [
        *(((command,), module) for command, (module, _) in COMMANDS.items()),
        *(
            ((g, name), module)
            for g, names in GROUPS.items()
            for name, (module, _) in names.items()
        ),
    ]
    if module and name[-1] not in OWN_PARSER
}

BAR = re.compile(r"^$|\d+/\d+|\d+%|^\[1/7\]")
"""Lines of progress."""


def start(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def tree(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


@pytest.fixture
def refused(capsys):
    """Run a command line, expect exit code 2; the one line on standard error."""

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        *lines, line = captured.err.splitlines()
        assert line.startswith(f"shapespace {one_line(arguments[0])}: error: ")
        assert [other for other in lines if not BAR.search(other)] == []
        return line.partition("error: ")[2]

    return run


@pytest.fixture
def cube(tmp_path):
    path = tmp_path / "in" / "cube.ply"
    path.parent.mkdir()
    trimesh.creation.box().export(path)
    return path


def test_help_imports_nothing_heavy():
    run = start("-X", "importtime", "-m", "shapespace", "--help")
    assert run.returncode == 0 and run.stdout == usage()
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "shapespace.cli.main" in imported
    heavy = {"torch", "numpy", "pytorch_lightning", "jsonargparse", "trimesh", "h5py", "wandb"}
    assert imported & heavy == set()
    assert len(imported) < 150


def test_a_process_ends_with_the_code_and_one_line():
    run = start("-m", "shapespace", "prepair")
    assert (run.returncode, run.stdout) == (2, "")
    hint = "there is no command 'prepair'; did you mean 'prepare'?"
    assert run.stderr == f"shapespace prepair: error: {hint}\n"


def test_a_command_s_old_name_works_and_says_the_new_one(capsys):
    for old, new in OLD_NAMES.items():
        assert main([old, "--no-such-option"]) == 2
        first, *others = capsys.readouterr().err.splitlines()
        assert first == f"shapespace {old}: is called {new} now; the old name goes soon"
        assert main([new, "--no-such-option"]) == 2
        said = capsys.readouterr().err.splitlines()
        assert [line.partition("error: ")[2] for line in (others[-1], said[-1])].count("") == 0
        assert others[-1].partition("error: ")[2] == said[-1].partition("error: ")[2]


def test_every_command_is_listed_and_documented(capsys):
    assert main([]) == main(["-h"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text and help in text for name, (_, help) in COMMANDS.items())
    for group, commands in GROUPS.items():
        assert main([group]) == main([group, "--help"]) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {name} " in text and help in text for name, (_, help) in commands.items())
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"shapespace {__version__}\n"


@pytest.mark.parametrize("name", FUNCTIONS, ids=" ".join)
def test_command_help_names_every_option(name, capsys):
    assert main([*name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: shapespace {' '.join(name)} ")
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        given = [parameter.name]
        if dataclasses.is_dataclass(parameter.annotation):
            given = [field.name for field in dataclasses.fields(parameter.annotation)]
        for each in given:
            option = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            shown = "--" + each.replace("_", "-") if option else each
            assert re.search(rf"^  {shown}\b", text, re.MULTILINE), shown
    parser = build_parser(FUNCTIONS[name])
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize("name", FUNCTIONS, ids=" ".join)
def test_command_help_shows_an_example(name, capsys):
    main([*name, "--help"])
    text = capsys.readouterr().out
    assert name == ("demo",) or f"\n  shapespace {' '.join(name)} " in text


def test_options_from_a_file(tmp_path, cube, refused, capsys):
    config = tmp_path / "prepare.yaml"
    config.write_text("num_points: 90\nnormals: none\nworkers: 1\n")
    store = tmp_path / "s.hdf5"
    assert main(["prepare", str(cube.parent), str(store), "--config", str(config)]) == 0
    assert "scans: 1, 90 points" in capsys.readouterr().out
    assert ScanStore(store).normals_kind("cube") == "none"
    given = ["prepare", cube.parent, store, "--config", config]
    assert main([str(word) for word in [*given, "--num-points", "95"]]) == 0
    assert "scans: 1, 95 points" in capsys.readouterr().out
    assert main([str(word) for word in [*given[:3], "--num-points", "96", *given[3:]]]) == 0
    assert "scans: 1, 96 points" in capsys.readouterr().out
    config.write_text("num_point: 90\n")
    assert "num_point" in refused(*given) and "did you mean" in refused(*given)
    config.write_text("num_points: many\n")
    assert "num-points=many: must be an int" in refused(*given)
    config.write_text("{")
    assert "prepare.yaml: is not YAML" in refused(*given)
    assert "none.yaml" in refused(*given[:-1], tmp_path / "none.yaml")


def test_an_interruption_is_a_code_of_its_own(monkeypatch, capsys):
    def interrupted(path: str) -> None:
        """Do nothing.

        Args:
            path: of nothing.
        """
        raise KeyboardInterrupt

    monkeypatch.setattr("shapespace.cli.data.info", interrupted)
    assert main(["info", "x"]) == 130
    assert capsys.readouterr().err == "shapespace info: stopped; run the same command to go on\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("prepar", "'prepar'; did you mean 'prepare'?"),
        ("zzz", "'zzz'; one of demo, prepare, train,"),
        ("--verion", "'--verion'; one of demo"),
        ("a\nb\x1b", r"'a\nb\x1b'; one of demo"),
    ],
)
def test_unknown_command(word, hint, refused):
    assert f"there is no command {hint}" in refused(word)


BAD_SCANS = {
    "missing.ply": (None, "cannot be read"),
    "empty.ply": (b"", "the file is empty"),
    "words.ply": (b"not a scan\n" * 9, ""),
    "scan.docx": (b"PK", "unknown suffix"),
    "nothing.obj": (b"# no vertex\n", "no vertices"),
    "nan.xyz": (b"0 0 nan\n" * 90, "NaN or infinite"),
    "infinite.xyz": (b"0 0 inf\n" * 90, "NaN or infinite"),
    "flat.obj": (b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "zero area"),
    "few.xyz": (b"0 0 1\n1 0 0\n0 1 0\n", "3 points; a cloud needs at least 51"),
}


def write_bad(folder, name):
    content, message = BAD_SCANS[name]
    path = folder / name
    if content is not None:
        path.write_bytes(content)
    return path, message


@pytest.mark.parametrize("name", BAD_SCANS)
@pytest.mark.parametrize("command", ["prepare", "surface", "reconstruct", "interpolate"])
def test_bad_scan(command, name, refused, tmp_path, toy_checkpoint):
    path, message = write_bad(tmp_path, name)
    before, out = tree(tmp_path), tmp_path / "out"
    arguments = {
        "prepare": (path, out / "store.hdf5"),
        "surface": (path, "--out", out / "mesh.ply"),
        "reconstruct": (toy_checkpoint, path, "--out", out),
        "interpolate": (toy_checkpoint, "ball", path, "--out", out),
    }
    line = refused(command, *arguments[command])
    assert name in line
    if path.exists():
        assert message in line
    assert [found for found in tree(tmp_path) if found not in before and found.suffix] == []


def test_fewer_points_than_asked(refused, tmp_path):
    path = tmp_path / "cloud.xyz"
    np.savetxt(path, np.random.default_rng(0).normal(size=(60, 3)))
    line = refused("prepare", path, tmp_path / "s.hdf5", "--num-points", 100, "--strict")
    assert "cloud.xyz: 60 points, fewer points than asked (100)" in line
    assert tree(tmp_path) == [Path("cloud.xyz")]


def bad_store(path, kind):
    with h5py.File(path, "w") as file:
        if kind == "version":
            file.attrs.update(format="shapespace-scans", version=99, unit="m", dimension=3)
    return path


@pytest.mark.parametrize(("kind", "message"), [("version", "version 99"), ("other", "not a store")])
@pytest.mark.parametrize("command", ["info", "train"])
def test_bad_store(command, kind, message, refused, tmp_path, toy_arguments):
    path = bad_store(tmp_path / "odd.hdf5", kind)
    options = [
        *toy_arguments,
        f"--data.store={path}",
        f"--trainer.default_root_dir={tmp_path / 'run'}",
    ]
    line = refused(*({"info": ["info", path], "train": ["train", *options]}[command]))
    assert "odd.hdf5" in line and message in line and "shapespace prepare" in line
    assert not list(tmp_path.rglob("*.ckpt"))


def test_prepare_replaces_no_file_that_is_not_a_store(refused, cube, tmp_path):
    target = tmp_path / "thesis.txt"
    target.write_text("work of years")
    assert "thesis.txt: exists and is not a store" in refused(
        "prepare", cube, target, "--num-points", 60
    )
    assert target.read_text() == "work of years"


def bad_checkpoint(folder, kind, good):
    path = folder / "odd.ckpt"
    if kind == "text":
        path.write_text("no checkpoint")
    elif kind == "truncated":
        path.write_bytes(good.read_bytes()[:2000])
    elif kind == "other":
        torch.save({"state_dict": {}}, path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    return path


@pytest.mark.parametrize("kind", ["missing", "text", "truncated", "other", "tensor"])
@pytest.mark.parametrize("command", ["mesh", "info", "reconstruct", "interpolate"])
def test_bad_checkpoint(command, kind, refused, tmp_path, toy_checkpoint, cube):
    path, out = bad_checkpoint(tmp_path, kind, toy_checkpoint), tmp_path / "out"
    arguments = {
        "mesh": (path, "ball", "--out", out),
        "info": (path,),
        "reconstruct": (path, cube, "--out", out),
        "interpolate": (path, "ball", "egg", "--out", out),
    }
    assert "odd.ckpt: " in refused(command, *arguments[command])
    assert not out.exists()


@pytest.mark.parametrize("command", ["mesh", "interpolate"])
def test_a_name_that_is_not_in_the_checkpoint(command, refused, tmp_path, toy_checkpoint):
    line = refused(command, toy_checkpoint, "ball", "melom", "--out", tmp_path / "out")
    assert "'melom' is not one of the 4 scans" in line and "the nearest is 'melon'" in line
    assert list(tmp_path.rglob("*.ply")) == []


@pytest.mark.parametrize(
    "command", ["prepare", "train", "reconstruct", "interpolate", "mesh", "surface", "demo"]
)
def test_an_output_that_cannot_be_written(
    command, refused, cube, tmp_path, toy_checkpoint, toy_arguments
):
    wall = tmp_path / "wall"
    wall.write_text("a file")
    out = wall / "out"
    arguments = {
        "prepare": (cube, out / "s.hdf5", "--num-points", 100),
        "train": (*toy_arguments, f"--trainer.default_root_dir={out}"),
        "reconstruct": (toy_checkpoint, cube, "--out", out),
        "interpolate": (toy_checkpoint, "ball", "egg", "--out", out),
        "mesh": (toy_checkpoint, "ball", "--out", out),
        "surface": (cube, "--out", out / "mesh.ply", "--steps", 1, "--resolution", 8),
        "demo": ("--out", out),
    }
    line = refused(command, *arguments[command])
    assert str(wall) in line
    assert wall.read_text() == "a file"


@pytest.mark.parametrize("suffix", [".txt", ""])
def test_an_unknown_mesh_suffix(suffix, refused, cube, tmp_path):
    line = refused("surface", cube, "--out", tmp_path / f"mesh{suffix}")
    assert f"mesh{suffix}: unknown mesh suffix" in line


def test_a_wrong_option_of_a_command(refused):
    line = refused("prepare", "a", "b", "--num-pionts", 3)
    assert line == "unknown argument '--num-pionts'; did you mean '--num-points'?"


FIT_MISTAKES = [
    ("--model.lrr=1", "unknown key 'model.lrr'; did you mean 'model.lr'?"),
    ("--data.batchsize=1", "unknown key 'data.batchsize'; did you mean 'data.batch_size'?"),
    ("--max_epochs=1", "unknown key 'max_epochs'; did you mean 'trainer.max_epochs'?"),
    ("--model.decoder.latent_sise=1", "did you mean 'model.decoder.init_args.latent_size'?"),
    ("--model.lr=fast", "model.lr=fast: must be a float"),
    ("--model.decoder.width=4", "width=4 must exceed dimension + latent_size = 11"),
    ("--model.decoder=os.system", "names the class 'os.system', which is not part of"),
    ("--config=none.yaml", "none.yaml: cannot be a config (file does not exist)"),
    ("--data.num_points=601", "holds 600 points but data.num_points is 601"),
    ("--data.batch_size=0", "batch_size=0: give at least 1"),
    ("--data.store=none.hdf5", "none.hdf5: there is no such file"),
    ("--data.scans=none.txt", "none.txt: cannot be read"),
    ("--ckpt_path=none.ckpt", "none.ckpt: no such checkpoint"),
    ("--trainer.accelerator=abacus", "abacus"),
    ("--model.lr=-1", "lr=-1.0: give a positive number"),
    ("--model.seed=-1", "seed=-1: give at least 0"),
    ("--model.halve_every=0", "halve_every=0: give at least 1"),
    ("--model.decoder.beta=0", "beta=0.0: give a positive number"),
    ("--model.decoder.latent_size=-1", "latent_size=-1: give at least 0"),
    ("--model.sampler.uniform=-1", "uniform=-1.0: give 0 or more"),
    ("--checkpoint.every=0", "every=0: give at least 1"),
    ("--preview.every=0", "every=0: give at least 1"),
    ("--seed_everything=-1", "seed"),
    ("--trainer.gradient_clip_val=1", "manual optimization"),
    ("--trainer.accumulate_grad_batches=2", "manual optimization"),
    ("--wandb=maybe", "wandb=maybe: must be one of 'off', 'auto', 'online', 'offline'"),
]


@pytest.mark.parametrize(("argument", "message"), FIT_MISTAKES)
def test_a_mistake_on_the_command_line_of_train(
    argument, message, refused, tmp_path, toy_arguments
):
    run = f"--trainer.default_root_dir={tmp_path / 'run'}"
    assert message in refused("train", *toy_arguments, run, argument)
    assert [path for path in tree(tmp_path) if path.suffix] == []


FILE_MISTAKES = [
    ("model:\n  lrr: 1\n", "odd.yaml: unknown key 'model.lrr'; did you mean 'model.lr'?"),
    ("modle:\n  lr: 1\n", "odd.yaml: unknown key 'modle.lr'; did you mean 'model.lr'?"),
    ("model:\n  lr: fast\n", "odd.yaml: model.lr=fast: must be a float"),
    (
        "model:\n  sampler:\n    class_path: shapespace.sampling.NearSurface\n"
        "    init_args:\n      sigm: 1\n",
        "odd.yaml: unknown key 'model.sampler.init_args.sigm'; "
        "did you mean 'model.sampler.init_args.sigma'?",
    ),
    ("model: [\n", "odd.yaml: is not YAML"),
]


@pytest.mark.parametrize(("text", "message"), FILE_MISTAKES)
def test_a_mistake_in_a_config_file(text, message, refused, tmp_path, toy_arguments):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    assert message in refused("train", *toy_arguments, f"--config={path}")
    assert tree(tmp_path) == [Path("odd.yaml")]


def test_a_file_in_the_place_of_another_is_named_and_nothing_is_left(
    toy_checkpoint, toy_store, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run, out = toy_checkpoint.parent, "made/out"
    a_store, a_checkpoint = "is a store of scans, or another", "is a checkpoint; give a store"
    no_scan = "is a checkpoint; give the file of one scan"
    config, folder = f"--config={ROOT}/configs/toy.yaml", f"--trainer.default_root_dir={out}"
    for words, said in (
        (["reconstruct", toy_store, toy_store, "--out", out], a_store),
        (["evaluate", toy_store, toy_store, "--out", out], a_store),
        (["mesh", toy_store, "ball", "--out", out], a_store),
        (["interpolate", toy_store, "ball", "egg", "--out", out], a_store),
        (["diagnose", toy_store, "--out", out], a_store),
        (["codes", "drop", toy_store, "--names", "ball", "--out", out], a_store),
        (["surface", toy_store, "--out", "made.ply"], a_store),
        (["report", toy_store, "--out", out], "give the folder of the run"),
        (["report", toy_checkpoint, "--out", out], "is a checkpoint; give the folder of the run"),
        (["codes", "add", toy_checkpoint, toy_checkpoint, "--out", out], a_checkpoint),
        (["data", "merge", toy_checkpoint, "--out", out], a_checkpoint),
        (["train", config, f"--data.store={toy_checkpoint}", folder], a_checkpoint),
        (["plan", config, f"--data.store={toy_checkpoint}"], a_checkpoint),
        (["train", f"--config={toy_checkpoint}", f"--data.store={toy_store}"], "is no text"),
        (["reconstruct", toy_checkpoint, toy_checkpoint, "--out", out], no_scan),
        (["prepare", toy_checkpoint, "made", "--workers", "1"], no_scan),
        (["compare", toy_store, toy_checkpoint], no_scan),
        (["prepare", toy_store, "made"], "is a store already"),
        (["reconstruct", run, toy_store, "--out", out], "is a folder; give a checkpoint"),
        (["info", run], f"is the folder of a run; give {toy_checkpoint}"),
        (["info", run / "metrics.csv"], "is neither a store nor a checkpoint"),
        (["mesh", toy_checkpoint, "zebra", "--out", out], "one of them is 'ball'"),
    ):
        line = refused(*words)
        assert said in line and "Errno" not in line and "errno" not in line, (words, line)
        assert tree(tmp_path) == [], words
