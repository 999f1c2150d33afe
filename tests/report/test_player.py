"""What the player sends is what it was given, and a browser draws it."""

import base64
import io
import json
import re
import zlib

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.report.html import Page
from shapespace.report.player import (
    POSITION_STEPS,
    AnimationFrame,
    AxisFrames,
    packed,
    player,
)
from tests.browser import opened


def animation():
    return [
        AnimationFrame(trimesh.creation.icosphere(2, radius=0.8), "a <ball>"),
        AnimationFrame(trimesh.creation.box((1, 2, 0.5)), "box", 1.0),
        AnimationFrame(trimesh.Trimesh(), "nothing", 0.5),
    ]


def unpacked(text):
    """The inverse of ``packed``, as player.js does it."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(4, -1)
    signs = np.ascontiguousarray(planes.T).view("<u4")[:, 0].astype(np.int64)
    return (signs >> 1) ^ -(signs & 1)


def sent(text):
    head, body = re.findall(r'<script type="[a-z/]+">(.*?)</script>', text, re.S)
    return json.loads(head), unpacked(body)


def test_numbers_survive():
    numbers = np.array([0, 1, -1, 127, -128, 65535, -65535, 2**31 - 1, -(2**31) + 1, 5])
    assert (unpacked(packed(numbers)) == numbers).all()
    assert len(unpacked(packed(numbers[:0]))) == 0


def test_meshes_survive():
    head, numbers = sent(player(animation()))
    for frame, told in zip(animation(), head["frames"], strict=True):
        mesh = frame.mesh
        assert (told["vertices"], told["faces"]) == (len(mesh.vertices), len(mesh.faces))
        assert told["label"] == frame.label
        parts = []
        for rows in (told["vertices"], told["vertices"], told["faces"]):
            part, numbers = np.split(numbers, [3 * rows])
            running, slow = np.zeros(3, int), []
            for row in part.reshape(-1, 3):
                running = running + row
                slow.append(running)
            parts.append(np.array(slow).reshape(-1, 3))
        places = np.array(head["low"]) + parts[0] * head["size"] / POSITION_STEPS
        np.testing.assert_allclose(places, mesh.vertices, atol=0.51 * head["size"] / POSITION_STEPS)
        np.testing.assert_allclose(parts[1] / 127, mesh.vertex_normals, atol=0.51 / 127)
        assert (parts[2] == mesh.faces).all()
    assert len(numbers) == 0


def test_axes_have_sliders_and_frames_of_their_own():
    axis = AxisFrames("a <b>", animation())
    text = player(animation()[:2], axes=[axis, axis])
    head, _ = sent(text)
    assert (head["walk"], len(head["frames"])) == (2, 8)
    assert text.count("a &lt;b&gt;") == 2 and text.count('max="2" value="1"') == 2


def test_one_frame_has_no_controls_and_none_is_refused():
    assert 'class="controls" hidden' in player(animation()[:1])
    assert 'class="controls" hidden' not in player(animation())
    with pytest.raises(InputError, match="no frames"):
        player([])


PROBE = """<script>
setTimeout(() => {
  const slider = document.querySelector("input"), canvas = document.querySelector("canvas");
  const label = document.querySelector("figcaption"), out = {};
  const axis = document.querySelector(".axis input");
  for (const frame of [0, 1, 2]) {
    slider.value = frame;
    slider.dispatchEvent(new Event("input"));
    out[frame] = [label.textContent, canvas.toDataURL()];
  }
  axis.value = 0;
  axis.dispatchEvent(new Event("input"));
  out.axis = [label.textContent, canvas.toDataURL()];
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = JSON.stringify(out);
  document.body.append(seen);
}, 2000);
</script>"""


@pytest.mark.slow
def test_a_browser_draws_each_frame(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pictures need shapespace[report]")
    page = Page("animation")
    page.section(
        "player", "", player(animation(), axes=[AxisFrames("axis 1", animation()[::-1])]), PROBE
    )
    dom, console = opened(page.write(tmp_path / "animation.html"))
    assert console == []
    seen = json.loads(re.search('<pre id="seen">(.*?)</pre>', dom, re.S)[1])
    assert seen.pop("axis") == seen["2"], "the axis begins with what the walk ends with"
    drawn = {}
    for frame, (label, url) in seen.items():
        pixels = np.asarray(image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
        drawn[frame] = pixels[pixels[..., 3] > 128]
        assert label.replace("&lt;", "<").replace("&gt;", ">") == animation()[int(frame)].label
    assert len(drawn["0"]) > 20_000 and len(drawn["1"]) > 20_000 and len(drawn["2"]) == 0
    blue, orange = (np.median(drawn[frame], axis=0) for frame in ("0", "1"))
    assert blue[2] > blue[0] + 40 and orange[0] > orange[2] + 40
    assert np.ptp(drawn["0"][:, 2]) > 60
