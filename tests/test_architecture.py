"""The house rules of the design that a machine can check."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_FUNCTION = 300, 50
LAYERS = (
    "errors",
    "files scan rays camera shading metrics conventions summary launch progress workers capacity",
    "row_adam reports exchange poisson card measure",
    "rates",
    "decoders sampling checkpoint",
    "cells probe",
    "lipschitz",
    "grid newton beams",
    "octree",
    "slabs",
    "level_set trace",
    "objectives codes code_statistics bounds mesh interpolate data",
    "fitting render plots report zero_surface mesh_facts card_text",
    "survey ray_check",
    "certificate player charts",
    "space evaluate portrait workload",
    "certify",
    "certificate_page",
    "preview plan",
    "data.datamodule arguments wandb_log recipes",
    "rows",
    "resume data.imagined",
    "module",
    "signals heartbeat keep",
    "callbacks guard health ranks same_run rehearsal",
    "training exports describe facts fit_picture fit_method",
    "reconstruct surface edit_codes planning",
    "demo baselines",
    "held_out",
    "run_record",
    "cases run_sections card_sections space_sections",
    "case_sections",
    "report_page",
    "commands",
    "data_commands codes_commands",
    "shape_commands",
    "quality_commands",
    "cli",
    "__main__",
)
"""A module imports from its own layer and those before it; a folder stands for all it holds."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
LIGHTNING = (
    *("module", "data.datamodule", "resume", "keep", "callbacks", "guard", "health", "ranks"),
    *("same_run",),
    *("wandb_log", "training", "rehearsal", "planning"),
)
HDF5 = "data.hdf5"


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:-1] if parts[-1] == "__init__" else parts[1:])


FILES = {module_name(path): path for path in sorted((ROOT / "shapespace").rglob("*.py"))}
PARTS = {name: path for name, path in FILES.items() if name}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def imported_names(tree, top_level_only=False):
    """Full names of all that a module imports, what ``from a import b`` takes as ``a.b``."""
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(tree):
    """Modules of the package that ``tree`` imports."""
    names = {name.removeprefix("shapespace.") for name in imported_names(tree)}
    return {name if name in PARTS else name.rpartition(".")[0] for name in names} & PARTS.keys()


GRAPH = {name: imported_modules(TREES[name]) - {name} for name in PARTS}


def rank(name):
    """The layer of a module: its own, or that of the folder that holds it."""
    return RANK[name] if name in RANK else RANK[name.split(".")[0]]


def definitions(tree):
    """All functions and classes of a module and whether each is public, methods included."""
    waiting = [(node, True) for node in tree.body]
    while waiting:
        node, public = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            public = public and not node.name.startswith("_")
            yield node, public
        inner = isinstance(node, ast.ClassDef)
        waiting += [(child, public and inner) for child in getattr(node, "body", [])]


def functions(tree):
    return [node for node, _ in definitions(tree) if isinstance(node, ast.FunctionDef)]


def public(tree):
    return [node for node, is_public in definitions(tree) if is_public]


def test_every_module_has_a_layer():
    assert [name for name in PARTS if name not in RANK and name.split(".")[0] not in RANK] == []
    assert [name for name in RANK if name not in PARTS] == []


@pytest.mark.parametrize("name", PARTS)
def test_imports_point_down(name):
    assert [other for other in GRAPH[name] if rank(other) > rank(name)] == []


def test_no_import_cycle():
    left = dict(GRAPH)
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


@pytest.mark.parametrize("name", [name for name in PARTS if name not in LIGHTNING])
def test_lightning_stays_in_its_modules(name):
    assert not any("lightning" in other for other in imported_names(TREES[name]))


def test_one_module_reads_hdf5():
    assert [name for name in PARTS if "h5py" in set(imported_names(TREES[name]))] == [HDF5]


def test_nothing_below_the_commands_imports_wandb_at_once():
    users = {name for name in PARTS if "wandb" in set(imported_names(TREES[name]))}
    assert users == {"wandb_log"}
    assert "wandb" not in set(imported_names(TREES["wandb_log"], top_level_only=True))


@pytest.mark.parametrize("name", FILES)
def test_sizes(name):
    assert len(FILES[name].read_text().splitlines()) <= MAX_LINES
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions(TREES[name])}
    documented = {
        f.name: len((ast.get_docstring(f) or "").splitlines()) for f in functions(TREES[name])
    }
    assert {f: n for f, n in long.items() if n - documented[f] > MAX_FUNCTION} == {}


@pytest.mark.parametrize("name", FILES)
def test_no_print_no_cuda_no_absolute_path(name):
    calls = [node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls)
    assert not any(isinstance(call, ast.Attribute) and call.attr == "cuda" for call in calls)
    texts = [node.value for node in ast.walk(TREES[name]) if isinstance(node, ast.Constant)]
    paths = [
        text
        for text in texts
        if isinstance(text, str) and re.match(r"(/(?!proc/|sys/)[a-z]|~/|[A-Z]:\\)", text)
    ]
    assert paths == []


@pytest.mark.parametrize("name", FILES)
def test_module_starts_with_a_docstring(name):
    assert ast.get_docstring(TREES[name])


@pytest.mark.parametrize("name", PARTS)
def test_public_names_are_documented_and_annotated(name):
    assert [node.name for node in public(TREES[name]) if not ast.get_docstring(node)] == []
    for node in functions(TREES[name]):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if node in public(TREES[name]) or node.name == "__init__":
            assert (node.name, bare) == (node.name, [])
            assert node.returns is not None, node.name


@pytest.mark.parametrize("name", FILES)
def test_annotations_are_evaluated(name):
    assert "__future__.annotations" not in set(imported_names(TREES[name]))


@pytest.mark.parametrize("folder", ["experiments", "benchmarks"])
def test_scripts_import_what_there_is(folder):
    wanted = {
        (node.module, alias.name)
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shapespace")
        for alias in node.names
    }
    assert wanted
    found = {pair: importlib.import_module(pair[0]) for pair in wanted}
    assert [pair for pair in sorted(wanted) if not hasattr(found[pair], pair[1])] == []


def test_import_is_light():
    heavy = ["torch", "numpy", "pytorch_lightning", "trimesh", "h5py", "wandb", "jsonargparse"]
    code = (
        f"import sys, shapespace; sys.exit(' '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stderr) == (0, "")


def test_every_public_name_resolves():
    import shapespace

    assert len(shapespace.__all__) <= 20
    assert all(getattr(shapespace, name) is not None for name in shapespace.__all__)
    assert dir(shapespace) == sorted([*shapespace.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = shapespace.nothing
