"""Lightning's private API is used in one file, and is as it was when that file was written."""

import ast

import pytorch_lightning as pl
from lightning_fabric.strategies.launchers import subprocess_script
from pytorch_lightning.cli import LightningCLI

from shapespace.training import lightning_private
from tests.test_architecture import TREES

OWN = "training.lightning_private"
ADVICE = "check every function of shapespace/training/lightning_private.py, then change TESTED"


def private_attributes(tree):
    """Attributes with a leading underscore that are taken from anything but self, cls or a module.

    ``self._x`` is Lightning's where a class derives from it and defines no ``_x`` itself.
    """
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    } | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in own
    }


def test_the_minor_version_is_the_one_that_was_tested():
    found = pl.__version__
    assert found.startswith(f"{lightning_private.TESTED}."), f"{found}: {ADVICE}"


def test_each_private_attribute_is_still_there():
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    assert callable(trainer._signal_connector.register_signal_handlers), ADVICE
    observer = subprocess_script._ChildProcessObserver(main_pid=0, child_processes=[])
    assert observer._child_processes == [], ADVICE
    assert lightning_private.attached_trainer(pl.LightningModule()) is None, ADVICE
    assert callable(LightningCLI._parser), ADVICE


def test_private_attributes_are_used_in_that_file_alone():
    users = {
        name: sorted(private_attributes(tree))
        for name, tree in TREES.items()
        if name.split(".")[0] in ("training", "planning") and name != OWN
    }
    # os._exit, torch's own switch for DDP and jaxtyping are no Lightning.
    known = {"_exit"}
    assert {name: set(found) - known for name, found in users.items() if set(found) - known} == {}
    imported = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and "lightning" in (node.module or "")
        if any(alias.name.startswith("_") for alias in node.names)
    }
    assert imported == {OWN}
