"""A page that goes with an exported space: what it is, how good it is, how it is used.

It is written as README.md in the layout that hubs of models show: facts as YAML, then text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from shapespace.checkpoint import EVALUATION
from shapespace.errors import one_line
from shapespace.sharing.bundle import FACTS
from shapespace.utils.files import read_inside, replacing
from shapespace.utils.plain import json_object

CARD = "README.md"
"""File of the page in the folder of an exported space."""
MARK = "<!-- written by shapespace export -->"
"""First line of the text: a file without it belongs to the user and is not overwritten."""
PAGE = """---
{head}
---
<!-- written by shapespace export -->

# A space of {shapes}

One decoder f(x; z) and one code z for each shape: f is 0 on the surface. The codes are those of
the training scans, so that the space shows them.

| | |
|---|---|
{table}

## How good it is

{measured}

## Use it

```
shapespace info FOLDER --names
shapespace reconstruct FOLDER new_scan.ply --out out/
```

```python
from shapespace import TrainedSpace

space = TrainedSpace.from_pretrained("FOLDER")
space.mesh(space[space.names[0]]).export("first.ply")
```

`space.safetensors` and `space.json` are read without pickle; nothing in them is executed.
"""


def write_model_card(folder: Path, scores: str | None) -> bool:
    """Write the page of an exported space; False if the folder has one of the user's own.

    Args:
        folder: written by :func:`~shapespace.sharing.bundle.write_bundle`.
        scores: the table of its evaluation as text; None says that there is none.
    """
    path = folder / CARD
    if path.exists() and MARK not in path.read_text("utf-8", errors="replace"):
        return False
    facts = json_object(read_inside(folder, FACTS) or b"{}")
    with replacing(path) as part:
        part.write_text(model_card(facts, scores), "utf-8")
    return True


def evaluated(run: Path, digest: str) -> str | None:
    """The table of scores of a run's evaluation as text; None if it is of other weights, or absent.

    Args:
        run: folder of the checkpoint.
        digest: sha256 of weights and codes of the space.
    """
    folder = run / EVALUATION
    read, text = (read_inside(folder, name) for name in ("scores.json", "scores.txt"))
    if read is None or text is None:
        return None
    try:
        of = json_object(read).get("facts", {}).get("space")
    except (ValueError, AttributeError):
        return None
    return text.decode("utf-8", errors="replace") if of == digest else None


def model_card(facts: Mapping[str, Any], scores: str | None) -> str:
    """The text of the page.

    Args:
        facts: content of ``space.json``.
        scores: the table of the evaluation; None says that there is none.
    """
    recipe = facts["recipe"]
    decoder = recipe["decoder"]
    sizes = decoder.get("init_args", {})
    tags = ["shapespace", "signed-distance-field", "3d", "shape-space"]
    head: dict[str, Any] = {"library_name": "shapespace", "tags": tags}
    if facts["licence"]:
        head = {"license": facts["licence"].lower(), **head}
    shapes = len(facts["names"])
    rows = {
        "field": f"{facts['field']}, positive outside",
        "decoder": f"{decoder['class_path'].rpartition('.')[2]}, "
        + ", ".join(f"{name} {one_line(value, 40)}" for name, value in sizes.items()),
        "objective": recipe["objective"]["class_path"].rpartition(".")[2],
        "training scans": f"{shapes}; their names are in {FACTS}",
        "unit": "metres" if facts["unit"] == "m" else "normalised: the radius of a shape is 1",
        "training": f"{facts['trained']['epochs']} epochs, {facts['trained']['steps']} steps",
        "licence": facts["licence"] or "none is stated: ask before you use it",
        "sha256 of weights and codes": facts["digest"],
        "made by": f"shapespace {facts['version']}",
    }
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items())
    measured = "Nobody has measured it on scans that it was not trained on: `shapespace evaluate`."
    if scores:
        shown = scores.strip().replace("```", "")
        measured = f"On scans that it was not trained on:\n\n```\n{shown}\n```"
    return PAGE.format(
        head=yaml.safe_dump(head, sort_keys=False).strip(),
        shapes=f"{shapes} shape" if shapes == 1 else f"{shapes} shapes",
        table=table,
        measured=measured,
    )


def _cell(text: object) -> str:
    """A text that cannot leave its cell of a table."""
    return one_line(text).replace("|", "\\|")
