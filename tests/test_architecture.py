"""The rules of CONTRIBUTING.md that a machine can check.

Every check over all files loops inside one test, and lists all that break the rule.
"""

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import pytorch_lightning as pl

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES, MAX_FUNCTION, MAX_FILES, MAX_CHAIN = 320, 50, 12, 13
LAYERS = (
    "errors version scan",
    "utils config geometry decoders sampling codes",
    "objectives surface data synthetic encoders",
    "checkpoint fitting rendering elastic bending priors",
    "sharing checkpoint_scans cameras",
    "training space",
    "planning reconstruction diagnostics baselines",
    "evaluation",
    "report",
    "viewer",
    "cli",
)
"""A module imports only from the rows above its own and from its own package."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
LIGHTNING = ("training", "planning")
HDF5 = "data.store"
HOOKS = {name for name in dir(pl.Callback) if name.startswith("on_")}
"""Methods that Lightning calls, with arguments that Lightning documents."""
WANDB = "training.wandb_logger"


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:-1] if parts[-1] == "__init__" else parts[1:])


FILES = {module_name(path): path for path in sorted((ROOT / "shapespace").rglob("*.py"))}
PARTS = {name: path for name, path in FILES.items() if name}
TEXTS = {name: path.read_text() for name, path in FILES.items()}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}


def imported_names(tree, top_level_only=False):
    """Full names of all that a module imports, what ``from a import b`` takes as ``a.b``."""
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(tree):
    """Modules of the package that ``tree`` imports, those inside functions too."""
    names = {name.removeprefix("shapespace.") for name in imported_names(tree)}
    return {name if name in PARTS else name.rpartition(".")[0] for name in names} & PARTS.keys()


GRAPH = {name: imported_modules(TREES[name]) - {name} for name in PARTS}


def room(name):
    """The part of the package that a module belongs to: the first word of its name."""
    return name.split(".")[0]


@functools.cache
def chain(name):
    """The longest way down through the imports of a module."""
    return max(((name, *chain(other)) for other in GRAPH[name]), key=len, default=(name,))


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


# What a graph of imports may look like.


def test_imports_point_down():
    others = [name for name in PARTS if room(name) not in RANK and name != "__main__"]
    assert others == [], "every part of the package has a row"
    assert sorted(set(RANK) - {room(name) for name in PARTS}) == []
    up = [
        f"{name} imports {other}"
        for name in PARTS
        if name != "__main__"
        for other in sorted(GRAPH[name])
        if room(other) != room(name) and RANK[room(other)] >= RANK[room(name)]
    ]
    assert up == []


def test_no_import_cycle_and_no_long_chain():
    left = dict(GRAPH)
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}
    longest = max((chain(name) for name in PARTS if name != "__main__"), key=len)
    assert len(longest) <= MAX_CHAIN, " > ".join(longest)


def test_library_code_imports_from_the_module_that_defines():
    faces = {name for name, path in PARTS.items() if path.name == "__init__.py"}
    given = {
        (face, alias.asname or alias.name)
        for face in faces
        for node in ast.walk(TREES[face])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    through = [
        f"{name}: from {node.module} import {alias.name}"
        for name in PARTS
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module.removeprefix("shapespace."), alias.name) in given
    ]
    assert through == []
    assert imported_modules(TREES["training"]) == set(), "or what needs no Lightning would load it"


def test_each_library_stays_in_its_rooms():
    users = {
        library: {name for name in PARTS if library in " ".join(imported_names(TREES[name]))}
        for library in ("lightning", "h5py", "wandb")
    }
    assert {room(name) for name in users["lightning"]} == set(LIGHTNING)
    assert {name.rpartition(".")[0] for name in users["h5py"]} == {HDF5}
    assert {name for name in users["wandb"] if "wandb" in set(imported_names(TREES[name]))} == {
        WANDB
    }
    assert "wandb" not in set(imported_names(TREES[WANDB], top_level_only=True))


# What a file may look like.


def test_sizes():
    files = Counter(path.parent for path in FILES.values())
    assert {str(folder): count for folder, count in files.items() if count > MAX_FILES} == {}
    code = {name: code_lines(name, TREES[name]) for name in FILES}
    assert {name: count for name, count in code.items() if count > MAX_LINES} == {}
    long = {
        f"{name}.{f.name}": code_lines(name, f) for name in FILES for f in functions(TREES[name])
    }
    assert {name: count for name, count in long.items() if count > MAX_FUNCTION} == {}


def code_lines(name, tree):
    """Lines of a module or a definition without docstrings and whole-line comments."""
    lines = TEXTS[name].splitlines()
    first, last = getattr(tree, "lineno", 1), getattr(tree, "end_lineno", len(lines))
    kinds = ast.Module | ast.FunctionDef | ast.ClassDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    docstrings = [node.body[0] for node in nodes if ast.get_docstring(node)]
    documented = sum(text.end_lineno - text.lineno + 1 for text in docstrings)
    comments = sum(line.lstrip().startswith("#") for line in lines[first - 1 : last])
    return last - first + 1 - documented - comments


def test_no_print_no_cuda_no_absolute_path():
    found = []
    for name, tree in TREES.items():
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        if any(isinstance(call, ast.Name) and call.id == "print" for call in calls):
            found.append(f"{name}: print")
        if any(isinstance(call, ast.Attribute) and call.attr == "cuda" for call in calls):
            found.append(f"{name}: cuda()")
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        found += [
            f"{name}: {text}"
            for text in texts
            if isinstance(text, str) and re.match(r"(/(?!proc/|sys/)[a-z]|~/|[A-Z]:\\)", text)
        ]
    assert found == []


def test_public_names_are_documented_and_annotated():
    assert [name for name in FILES if not ast.get_docstring(TREES[name])] == []
    assert [
        f"{name}.{node.name}"
        for name in PARTS
        for node in public(TREES[name])
        if not ast.get_docstring(node)
    ] == []
    bare = []
    for name in PARTS:
        documented = public(TREES[name])
        for node in functions(TREES[name]):
            if node not in documented and node.name != "__init__":
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare += [
                f"{name}.{node.name}({a.arg})"
                for a in arguments
                if a.annotation is None and a.arg not in ("self", "cls")
            ]
            bare += [f"{name}.{node.name} ->"] * (node.returns is None)
    assert bare == []
    unlisted = [
        f"{name}.{node.name}"
        for name in PARTS
        for node in public(TREES[name])
        if isinstance(node, ast.FunctionDef)
        and len(
            [a for a in (*node.args.args, *node.args.kwonlyargs) if a.arg not in ("self", "cls")]
        )
        >= 3
        and "Args:" not in ast.get_docstring(node)
        and node.name not in HOOKS
    ]
    assert unlisted == [], "functions of three or more parameters list them under Args:"
    with_future = {n for n in FILES if "__future__.annotations" in set(imported_names(TREES[n]))}
    assert with_future == set(), "annotations are evaluated: jaxtyping checks them"


def test_no_two_public_classes_share_a_name():
    names = Counter(
        node.name
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_references_in_docstrings_lead_somewhere():
    roles = re.compile(r":(mod|func|class|data|meth):`~?(shapespace\.[\w.]+)`")
    lost = []
    for name, text in TEXTS.items():
        for role, target in roles.findall(text):
            module, _, leaf = (target, "", "") if role == "mod" else target.rpartition(".")
            try:
                found = importlib.import_module(module)
            except ImportError:
                module, _, owner = module.rpartition(".")
                found = getattr(importlib.import_module(module), owner, None)
            if leaf and not hasattr(found, leaf):
                lost.append(f"{name}: {target}")
    assert lost == []


# Scripts beside the package, and the package's face.


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
    missing = [
        pair
        for pair in sorted(wanted)
        if not hasattr(found[pair], pair[1]) and f"{pair[0]}.{pair[1]}"[11:] not in PARTS
    ]
    assert missing == []


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
