"""The page in headless Chromium: a real click, a real drag, a real upload; and who may connect."""

import base64
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from shapespace.errors import InputError
from shapespace.viewer import session as session_module
from shapespace.viewer.page import open_page
from shapespace.viewer.server import open_server
from shapespace.viewer.watch import Losses
from tests.browser import program
from tests.viewer.test_session import ply
from tests.waiting import PATIENCE, until

viser = pytest.importorskip("viser", reason="no viser: pip install 'shapespace[view]'")
OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
ALIEN = 'escaped <b id="injected">bold.xyz'


@pytest.fixture(scope="module")
def page(toy_checkpoint, tmp_path_factory):
    """The page of a space."""
    out = tmp_path_factory.mktemp("viewer") / "out"
    found = open_page(toy_checkpoint, port=0, out=out, resolution=48)
    yield found
    found.close()


@pytest.fixture(scope="module")
def browser():
    """Chromium from the system, driven by playwright."""
    sync = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[test]'")
    with sync.sync_playwright() as found:
        opened = found.chromium.launch(executable_path=program(), args=OPTIONS)
        yield opened
        opened.close()


def opened(browser, page, requests, faults):
    """The page in a tab of its own; its requests, and its errors."""
    tab = browser.new_page(viewport={"width": 1000, "height": 600})
    # A busy machine is slow, which is no fault.
    tab.set_default_timeout(PATIENCE * 1000)
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("websocket", lambda socket: requests.append(socket.url))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    tab.goto(page.url)
    tab.get_by_text("Principal axes").wait_for()
    return tab


def drag(tab, slider, by):
    """Press the mouse on a slider, move it, and let it go."""
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    for step in range(1, 6):
        tab.mouse.move(x + by * step / 5, y)
    tab.mouse.up()


def on_screen(tab, page, place):
    """Where a place of the map is on the screen, in pixels."""
    card = page.controls._scene.map
    camera = list(page.server.get_clients().values())[-1].camera
    w, *xyz = camera.wxyz
    turn = Rotation.from_quat([*xyz, w]).as_matrix()
    across, down, ahead = turn.T @ (card._at(place) - camera.position)
    reach = np.tan(camera.fov / 2) * ahead
    box = tab.locator("canvas").first.bounding_box()
    share = 0.5 + 0.5 * np.array([across / (reach * box["width"] / box["height"]), down / reach])
    return box["x"] + share[0] * box["width"], box["y"] + share[1] * box["height"]


def check_map(tab, page):
    """Click a shape on the map, Shift and click another, and arrive there."""
    session, (first, second) = page.session, page.session.space.names[1:3]
    until(lambda: page.controls._scene.map._half > 0)
    tab.mouse.click(*on_screen(tab, page, session._map.dots[1]))
    until(lambda: session.place.name == first)
    tab.keyboard.down("Shift")
    tab.mouse.click(*on_screen(tab, page, session._map.dots[2]))
    tab.keyboard.up("Shift")
    until(lambda: session._ends == (first, second))
    until(lambda: torch.equal(session.place.code, session.space.code(second)))
    assert session.worker.wait(PATIENCE)


@pytest.mark.slow
def test_a_person_at_the_page(browser, page, tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "WALK_STEPS", 3)
    requests, faults = [], []
    session = page.session
    tab = opened(browser, page, requests, faults)
    other = opened(browser, page, requests, faults)
    drag(tab, tab.get_by_role("slider").first, by=60)
    until(lambda: session.place.values[0] > 0.5)
    assert session.worker.wait(PATIENCE)
    shown = session.place.values[0]
    # The second browser follows, and then leads.
    fields = [each.locator("input:visible").first for each in (tab, other)]
    until(lambda: [float(field.input_value()) for field in fields] == [shown, shown])
    other.get_by_text("Mean shape").click()
    until(lambda: [float(field.input_value()) for field in fields] == [0.0, 0.0])
    assert session.place.values[0] == 0.0
    other.close()

    first, second = session.space.names[:2]
    for label, name in (("Shape", first), ("Walk to", second)):
        tab.get_by_label(label, exact=True).first.click()
        tab.get_by_role("option", name=name, exact=True).locator("visible=true").click()
    until(lambda: session.place.name == first or session.worker.wait(PATIENCE))
    drag(tab, tab.get_by_role("slider").nth(session.num_sliders), by=60)
    until(lambda: session._ends == (first, second) and session.place.name == "")

    def upload(name, content):
        with tab.expect_file_chooser() as chooser:
            tab.get_by_text("Open a scan file").click()
        path = tmp_path / name
        path.write_bytes(content)
        chooser.value.set_files(path)

    upload("damaged.ply", b"ply\nformat")
    tab.get_by_text("damaged.ply: ").wait_for()
    upload(ALIEN, b"1 2\n")
    tab.get_by_text(ALIEN).wait_for()
    assert tab.locator("#injected").count() == 0
    upload("guest.ply", ply())
    tab.get_by_text("points off by").wait_for()
    # The same file, dropped from a desktop.
    text = base64.b64encode(ply()).decode()
    files = tab.evaluate_handle(
        """(text) => { const files = new DataTransfer();
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        files.items.add(new File([bytes], "fallen.ply")); return files; }""",
        text,
    )
    tab.dispatch_event("#drop", "drop", {"dataTransfer": files})
    until(lambda: session.dropped is not None and session.dropped.scan.name == "fallen")
    assert session.worker.wait(PATIENCE)
    check_map(tab, page)
    tab.get_by_text("Save", exact=True).click()
    tab.get_by_text("fallen_walk.glb").wait_for()
    assert (session.out / "fallen.ply").exists() and (session.out / "fallen_walk.glb").exists()
    page.controls.show_losses(Losses(np.array([0.0, 1.0]), np.array([2.0, 1.0]), 3.0))
    tab.get_by_text("epoch 1: loss 1, after 3 s").wait_for()
    tab.close()
    own = (page.url, f"ws{page.url.removeprefix('http')}", f"blob:{page.url}", "data:")
    assert [url for url in requests if not url.startswith(own)] == []
    assert faults == []


def test_pages_of_other_sites_may_not_connect(page):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = page.url.replace("http", "ws")
    protocol = f"viser-v{viser.__version__}"
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1.evil.example:8080",
        "https://x",
    ):
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin=origin, subprotocols=[protocol])
    for origin in (page.url, page.url.replace("127.0.0.1", "localhost"), None):
        connect(address, origin=origin, subprotocols=[protocol]).close()


def test_the_server_is_of_this_machine_and_opens_no_tunnel(page, monkeypatch):
    server = page.server
    assert server.get_host() == "127.0.0.1"
    monkeypatch.setattr("viser._viser.ViserTunnel", None)
    assert server.request_share_url() is None
    taken = int(page.url.rpartition(":")[2])
    said = []
    second = open_page(page.session.space.path, port=taken, say=said.append)
    second.close()
    assert said == [f"port {taken} is in use; took {second.url.rpartition(':')[2]}"]


def test_without_viser_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(InputError, match=r"pip install 'shapespace\[view\]'"):
        open_server(0)
