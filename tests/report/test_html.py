"""A page is one file that needs nothing else, and text stays text."""

import base64
import re
from html.parser import HTMLParser

from shapespace.report.html import Page, code, picture, table

EVIL = '<script>alert("&")</script>'


class Balance(HTMLParser):
    """Counts open tags; ``text`` is what a reader sees."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_page_is_whole_and_self_contained(tmp_path):
    (tmp_path / "dot.png").write_bytes(b"pixels")
    page = Page(EVIL, EVIL)
    blocks = [picture(tmp_path / "dot.png", EVIL), table((EVIL, "b"), [(EVIL, "1")]), code(EVIL)]
    page.section(EVIL, EVIL, *blocks)
    path = page.write(tmp_path / "out" / "index.html")
    text = path.read_text("utf-8")
    reader = Balance()
    reader.feed(text)
    assert reader.open == []
    assert "<script" not in text and reader.text.count(EVIL) == 8
    assert "main { max-width" in text and ".player canvas" in text, "the style is in the page"
    assert base64.b64encode(b"pixels").decode() in text
    assert re.findall(r"https?://|src=\"(?!data:)|<link", text) == []
    assert [found.name for found in path.parent.iterdir()] == ["index.html"]
