"""Run folders as a stranger might make them: a good one, and one for each thing that can be wrong.

``VARIANTS`` maps a part of a run folder to variants of it: names and functions of the path of a
good run folder, which spoil that part. A spoiled part never spoils another, so that one folder can
hold a variant of each part: ``folders`` gives such folders, in which every variant occurs.
"""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

SECRET = "CANARY-5b1f0c"  # in every file outside: no output may show it
OUTSIDE = "outside"  # the folder of those files, beside each run folder
NAMES = ("ball", "egg", "lens")
ESCAPES = "a\x1b[31mred\x07\u202eback\r\nline"
DEEP = 20_000
TEXTURE = "comment TextureFile ../../../outside/secret.png"


def good_run(folder, checkpoint):
    """A run, its evaluation and its diagnostics in ``folder``, from a checkpoint of four shapes."""
    from shapespace.space import TrainedSpace

    space = TrainedSpace.load(checkpoint)
    shapes = folder / "evaluation" / "shapes"
    shapes.mkdir(parents=True)
    for name in ("last.ckpt", "config.yaml", "metrics.csv"):
        shutil.copy(checkpoint.with_name(name), folder / name)
    (folder / "previews").mkdir()
    png = b"\x89PNG\r\n\x1a\n"
    for epoch in (1, 2, 3):
        (folder / "previews" / f"epoch_{epoch:05d}.png").write_bytes(png)
    for name in NAMES:
        frame = space.frame(name)
        space.mesh(space.code(name), frame, 12).export(shapes / f"{name}.ply")
        np.save(shapes / f"{name}.npy", space.code(name).numpy())
        (shapes / f"{name}.json").write_text(json.dumps(facts(frame)))
    (folder / "evaluation" / "scores.json").write_text(json.dumps(scores()))
    (folder / "last.diagnostics.json").write_text(json.dumps(diagnostics()))
    return folder


def facts(frame):
    pose = {"rotation": np.eye(3).tolist(), "shift": [0.0] * 3, "scale": 1.0}
    found = {"scan": "scans/ball.ply", "unit": "m", "scale": 1.0, "seconds": 1.0, "pose": pose}
    return found | {"centre": np.asarray(frame.centre).tolist()}


def scores():
    statistics = {"p5": 0.1, "p50": 0.2, "p95": "inf", "mean": 0.2, "median_ci": [0.1, 0.3]}
    shapes = [
        {"name": name, "group": name, "scan": {"point_to_mesh": 0.01 * row}}
        for row, name in enumerate(NAMES)
    ]
    return {
        "conventions": {"point_to_mesh": "a distance"},
        "facts": {"unit": "m", "truth": None},
        "shapes": shapes,
        "summary": {"scan": {"point_to_mesh": statistics}},
    }


def diagnostics():
    return {
        "meaning": {"eikonal_rms": "root mean square of |grad f| - 1"},
        "shapes": [{"name": "ball"}],
        "summary": {"eikonal_rms": {"median": 0.1, "worst": None}},
        "verdict": ["Nearly a distance."],
    }


def make_outside(folder):
    """Files beside the run folder, of each kind that it may name, all with the secret."""
    (folder / "evaluation" / "shapes").mkdir(parents=True)
    (folder / "previews").mkdir()
    named = scores() | {"conventions": {"point_to_mesh": SECRET}}
    texts = {
        "secret.txt": SECRET,
        "secret.yaml": f"data: {{store: {SECRET}}}\n",
        "secret.csv": f"epoch,step,{SECRET}\n0,1,2.5\n",
        "secret.json": json.dumps(named | {"verdict": [SECRET]}),
        "evaluation/scores.json": json.dumps(named),
        "secret.ply": f"ply\nformat ascii 1.0\ncomment {SECRET}\nelement vertex 0\nend_header\n",
        "secret.png": f"\x89PNG\r\n\x1a\n{SECRET}",
        "previews/epoch_00001.png": f"\x89PNG\r\n\x1a\n{SECRET}",
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    np.save(folder / "secret.npy", np.frombuffer(SECRET.encode(), "u1").astype("f4"))
    os.mkfifo(folder / "fifo")


def _outside(folder):
    """The folder outside as a run folder may name it."""
    return (folder.parent / OUTSIDE).resolve()


# What may stand in the place of any file.


def _place(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def _link(name, secret, folder):
    _place(folder / name).symlink_to(_outside(folder) / secret)


def _relative_link(name, secret, folder):
    path = _place(folder / name)
    path.symlink_to(os.path.relpath(_outside(folder) / secret, path.parent))


def _fifo(name, folder):
    os.mkfifo(_place(folder / name))


def _folder(name, folder):
    _place(folder / name).mkdir()


def _loop(name, folder):
    _place(folder / name).symlink_to(Path(name).name)


def _sparse(name, folder):
    """A file of a terabyte that takes no place on the disk."""
    with _place(folder / name).open("wb") as file:
        file.truncate(1 << 40)


def _bytes(name, content, folder):
    _place(folder / name).write_bytes(content)


def _text(name, text, folder):
    _bytes(name, text.encode("utf-8", "surrogatepass"), folder)


def _json(name, content, folder):
    _text(name, json.dumps(content), folder)


def _any_file(name, secret):
    """Variants of a file whatever it holds."""
    return {
        "link": partial(_link, name, secret),
        "relative link": partial(_relative_link, name, secret),
        "fifo": partial(_fifo, name),
        "link to a fifo": partial(_link, name, "fifo"),
        "link to itself": partial(_loop, name),
        "link to a device": lambda folder: _place(folder / name).symlink_to("/dev/zero"),
        "folder": partial(_folder, name),
        "a terabyte": partial(_sparse, name),
        "random bytes": partial(_bytes, name, bytes(range(256)) * 16),
        "empty": partial(_bytes, name, b""),
    }


def _of(name, texts):
    return {key: partial(_text, name, text) for key, text in texts.items()}


def _paths(template):
    """Texts that name a file outside: {0} is put in the place of %s."""
    return {
        f"names {where}": template.replace("%s", where)
        for where in ("/dev/zero", "../outside/fifo", "../outside/secret.ply", "/", "../outside")
    }


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
CONFIG = {
    **_any_file("config.yaml", "secret.yaml"),
    **_of("config.yaml", _paths("data: {store: %s}\n")),
    **_of(
        "config.yaml",
        {
            "many laughs": LAUGHS,
            "laughs in an option": LAUGHS + "model: {lr: *a39}\n",
            "holds itself": "model: &m {lr: *m}\n",
            "deep": "model: " + "[" * DEEP + "]" * DEEP,
            "deep in blocks": "\n".join(" " * i + "a:" for i in range(300)),
            "list": "[1, 2]\n",
            "sections are no mappings": "data: 3\nmodel: [1]\ntrainer: text\nseed_everything: {}\n",
            "parts are odd": "model: {decoder: {class_path: 3, init_args: [1]}, lr: {a: [b]}}\n",
            "huge number": "model: {lr: 0x" + "f" * 50_000 + "}\n",
            "python": "model: !!python/object/apply:os.system [echo]\n",
            "odd key": "? [a, b]\n: 1\n? {a: 1}\n: 2\n",
            "no date": "model: {lr: 2001-13-45}\n",
            "half a character": 'data: {store: "\\ud800"}\n',
            "escapes": f"data: {{store: {json.dumps(ESCAPES)}}}\n",
        },
    ),
}
METRICS = {
    **_any_file("metrics.csv", "secret.csv"),
    **_of(
        "metrics.csv",
        {
            "mathematics": "epoch,step,loss $\\frac$,$x$\n0,1,2,3\n1,2,3,4\n",
            "escapes": f"epoch,step,{ESCAPES!r},_hidden\n0,1,2,3\n",
            "raw escapes": 'epoch,step,"' + ESCAPES + '"\n0,1,2\n',
            "many columns": ",".join(f"c{i}" for i in range(5000)) + "\n" + ",".join("1" * 5000),
            "long cell": "epoch,step,loss\n0,1," + "9" * 200_000 + "\n",
            "long column": "epoch,step," + "x" * 100_000 + "\n0,1,2\n",
            "no numbers": "epoch,step,seconds,loss\nx,y,z,w\n",
            "not finite": "epoch,step,seconds,loss\n0,1,inf,nan\n1,inf,nan,inf\n",
            "huge numbers": "epoch,step,seconds,loss\n" + "9" * 5000 + ",1,1e308,1e308\n",
            "other digits": "epoch,step,seconds,loss\n²,1,3,4\n",
            "nul": "epoch,step,loss\n0,1,\0\n",
            "open quote": 'epoch,step,loss\n0,1,"2\n3,4,5\n',
            "header alone": "epoch,step,loss\n",
            "one column": "loss\n1\n2\n",
        },
    ),
}
PREVIEW = "previews/epoch_00001.png"
PREVIEWS = {
    **_any_file(PREVIEW, "secret.png"),
    "folder is a link": partial(_link, "previews", "previews"),
    "folder is a file": partial(_bytes, "previews", b"x"),
    "odd name": partial(_bytes, "previews/\x1b[31m\n\u202e.png", b"\x89PNG\r\n\x1a\n"),
    "name is no text": lambda folder: Path(
        os.fsdecode(bytes(folder / "previews") + b"/\xff.png")
    ).write_bytes(b"\x89PNG\r\n\x1a\n"),
}
DIAGNOSTICS = {
    **_any_file("last.diagnostics.json", "secret.json"),
    "earlier name is a link": lambda folder: (
        _place(folder / "last.diagnostics.json"),
        _link("last.certificate.json", "secret.json", folder),
    ),
    "page is a link": partial(_link, "last.diagnostics.html", "secret.txt"),
    **{
        key: partial(_json, "last.diagnostics.json", content)
        for key, content in {
            "list": [],
            "verdict is a number": diagnostics() | {"verdict": 3},
            "verdict is a mapping": diagnostics() | {"verdict": [{"a": 1}]},
            "summary is a list": diagnostics() | {"summary": [1]},
            "summary of text": diagnostics() | {"summary": {"a": {"median": "x", "worst": []}}},
            "summary of huge numbers": diagnostics() | {"summary": {"a": {"median": 10**400}}},
            "meaning is odd": diagnostics() | {"meaning": {"a": {"b": [1]}}},
            "shapes are a number": diagnostics() | {"shapes": 3},
            "half a character": diagnostics() | {"verdict": ["\ud800"]},
            "escapes": diagnostics() | {"verdict": [ESCAPES], "digest": ESCAPES},
        }.items()
    },
    "deep": partial(_text, "last.diagnostics.json", '{"verdict": ' + "[" * DEEP + "]" * DEEP + "}"),
}
SCORES = "evaluation/scores.json"


def _named(name):
    """Scores of a shape with an odd name, before shapes with usual ones."""
    odd = {"name": name, "group": "x", "scan": {"point_to_mesh": 0.0}}
    return scores() | {"shapes": [odd, *scores()["shapes"]]}


def _with(key, value):
    return scores() | {key: value}


EVALUATION = {
    **_any_file(SCORES, "secret.json"),
    "folder is a link": partial(_link, "evaluation", "evaluation"),
    "shapes are a link": partial(_link, "evaluation/shapes", "evaluation/shapes"),
    "earlier name is a link": lambda folder: (
        _place(folder / SCORES),
        _link("evaluation/card.json", "secret.json", folder),
    ),
    **{
        f"name {str(name)[:30]!a}": partial(_json, SCORES, _named(name))
        for name in (
            *("../../../outside/secret", "/etc/passwd", "../ball", "a/b", "..", "", "a\0b"),
            *(ESCAPES, "\u202e", "\ud800", "x" * 300, "x" * 5000, 3, None, ["a"], {"a": 1}),
            *("$\\frac$", "_", "<script>alert(1)</script>", "=1+1"),
        )
    },
    **{
        f"truth {where}": partial(_json, SCORES, _with("facts", {"unit": "m", "truth": where}))
        for where in ("/", "../outside", "../outside/fifo", "/dev/zero", ["/"])
    },
    **{
        key: partial(_json, SCORES, content)
        for key, content in {
            "list": [],
            "shapes are a mapping": _with("shapes", {"name": "a"}),
            "shapes are numbers": _with("shapes", [1, 2]),
            "scores are text": _with("shapes", [{"name": "ball", "scan": {"point_to_mesh": "x"}}]),
            "scores are a list": _with("shapes", [{"name": "ball", "scan": [1]}]),
            "scores are huge": _with("shapes", [{"name": "ball", "scan": {"a": 10**400}}]),
            "facts are a list": _with("facts", [1]),
            "facts are odd": _with(
                "facts", {"unit": [1], "protocol": {"unit": [1]}, "space": None, "x": [[[1]]] * 99}
            ),
            "protocol is text": _with("facts", {"protocol": "x"}),
            "nearest is a list": _with("facts", {"nearest_training_shape": ["ball"]}),
            "nearest is odd": _with("facts", {"nearest_training_shape": {"ball": ["../x"]}}),
            "conventions are a list": _with("conventions", [1]),
            "conventions are odd": _with("conventions", {"a": {"b": 1}}),
            "summary is a list": _with("summary", [1]),
            "summary of parts": _with("summary", {"scan": [1]}),
            "summary of columns": _with("summary", {"scan": {"point_to_mesh": 1}}),
            "summary of text": _with("summary", {"scan": {"point_to_mesh": {"p50": "x"}}}),
            "summary of lists": _with("summary", {"scan": {"a": {"p50": [1, 2, 3, "x"]}}}),
            "summary of many": _with("summary", {f"p{i}": {} for i in range(5000)}),
        }.items()
    },
    "deep": partial(_text, SCORES, '{"facts": ' + "[" * DEEP + "]" * DEEP + "}"),
    "deep facts": partial(_text, SCORES, '{"facts": {"a": ' + "[" * 400 + "]" * 400 + "}}"),
    "many digits": partial(_text, SCORES, '{"facts": {"a": ' + "9" * 5000 + "}}"),
}
BALL, EGG, LENS = (f"evaluation/shapes/{name}" for name in ("ball.ply", "egg.json", "lens.npy"))
HEADER = "ply\nformat ascii 1.0\n"
CORNERS = "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
FACE = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"


def _triangle(points="0 0 0\n1 0 0\n0 1 0\n", face="3 0 1 2\n", more=""):
    return HEADER + more + CORNERS + FACE + points + face


MESH = {
    **_any_file(BALL, "secret.ply"),
    **_of(
        BALL,
        {
            "texture": _triangle(more=TEXTURE + "\n"),
            "many rows": HEADER + CORNERS.replace("3", "99999999999") + "end_header\n",
            "no rows": HEADER + CORNERS.replace("vertex 3", "vertex 0") + "end_header\n",
            "nan": _triangle("nan 0 0\n1 0 0\n0 1 0\n"),
            "infinite": _triangle("1e308 0 0\n-1e308 0 0\n0 inf 0\n"),
            "far": _triangle("1e90 0 0\n-1e90 0 0\n0 1e90 0\n"),
            "flat": _triangle("0 0 0\n0 0 0\n0 0 0\n"),
            "face out of range": _triangle(face="3 0 1 99\n"),
            "negative face": _triangle(face="3 0 1 -1\n"),
            "long list": _triangle(face="255 0 1 2\n"),
            "cut": _triangle()[:-9],
            "2-D": HEADER
            + CORNERS.replace("property float z\n", "")
            + "end_header\n0 0\n1 0\n0 1\n",
        },
    ),
}
CODE = {
    **_any_file(LENS, "secret.npy"),
    "pickle": lambda folder: np.save(_place(folder / LENS), np.array([{}], object)),
    "text": lambda folder: np.save(_place(folder / LENS), np.array(["a", "b"])),
    "table": lambda folder: np.save(_place(folder / LENS), np.zeros((2, 2), "f4")),
    "other length": lambda folder: np.save(_place(folder / LENS), np.zeros(99, "f4")),
    "not finite": lambda folder: np.save(_place(folder / LENS), np.full(8, np.nan, "f4")),
    "many rows": lambda folder: _bytes(
        LENS,
        b"\x93NUMPY\x01\x00\x46\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }".ljust(69)
        + b"\n",
        folder,
    ),
    "odd header": partial(_bytes, LENS, b"\x93NUMPY\x01\x00\x08\x00{[]: 1}\n"),
}


def _facts(change, folder):
    """The facts of the egg, changed by a function."""
    path = folder / EGG
    content = json.loads(path.read_text())
    change(content)
    _json(EGG, content, folder)


def _set(*keys_and_value):
    *keys, value = keys_and_value

    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return partial(_facts, change)


FACTS = {
    **_any_file(EGG, "secret.json"),
    **{
        f"scan {where}": _set("scan", where)
        for where in (
            *(
                "/dev/zero",
                "/",
                "../outside/secret.ply",
                "../outside/fifo",
                "../outside/secret.txt/x",
            ),
            *(["a"], ESCAPES, "\0"),
        )
    },
    "no pose": _set("pose", None),
    "pose is odd": _set("pose", [1]),
    "rotation is none": _set("pose", "rotation", [[0.0] * 3] * 3),
    "rotation is text": _set("pose", "rotation", "x"),
    "rotation is ragged": _set("pose", "rotation", [[1.0], [1.0, 2.0], []]),
    "rotation of a plane": _set("pose", "rotation", [[1.0, 0.0], [0.0, 1.0]]),
    "shift is huge": _set("pose", "shift", [1e300] * 3),
    "shift is not finite": _set("pose", "shift", [float("nan")] * 3),
    "pose scale of 0": _set("pose", "scale", 0),
    "scale of 0": _set("scale", 0.0),
    "scale is negative": _set("scale", -1.0),
    "scale is huge": _set("scale", 1e300),
    "scale is text": _set("scale", "x"),
    "centre is text": _set("centre", "xyz"),
    "centre is short": _set("centre", [1.0]),
    "unit is odd": _set("unit", ["m"]),
    "dropped is text": _set("dropped_components", "x"),
    "deep": partial(_text, EGG, '{"pose": ' + "[" * DEEP + "]" * DEEP + "}"),
}
VARIANTS = {
    "config": CONFIG,
    "metrics": METRICS,
    "previews": PREVIEWS,
    "diagnostics": DIAGNOSTICS,
    "evaluation": EVALUATION,
    "mesh": MESH,
    "code": CODE,
    "facts": FACTS,
}
APART = (
    ("config", "metrics", "previews", "diagnostics", "evaluation"),
    ("mesh", "code", "facts"),
)
"""Parts that may be spoiled in one folder: without scores, no file of a shape would be read."""


def folders():
    """Lists of (part, variant) for one folder each; every variant occurs."""
    found = []
    for parts in APART:
        most = max(len(VARIANTS[part]) for part in parts)
        for row in range(most):
            chosen = [(part, list(VARIANTS[part])) for part in parts]
            found.append([(part, names[row]) for part, names in chosen if row < len(names)])
            if len(VARIANTS["metrics"]) <= row or "metrics" not in parts:
                found[-1].append(("metrics", "empty"))  # curves take long to draw
    return found


def spoil(folder, variants):
    """Spoil the parts of a good run folder, each by one variant."""
    for part, name in variants:
        VARIANTS[part][name](folder)
    return folder
