"""A display that keeps what a session shows, in place of a page."""

import threading


class Recorder:
    """All that was shown, in order."""

    def __init__(self):
        self.pictures, self.scans, self.sliders, self.said, self.told = [], [], [], [], []
        self.maps, self.marks = [], []
        self.threads = set()

    def show(self, picture):
        self.threads.add(threading.current_thread().name)
        self.pictures.append(picture)

    def show_scan(self, points):
        self.scans.append(points)

    def show_map(self, code_map):
        self.maps.append(code_map)

    def mark(self, mark):
        self.marks.append(mark)

    def set_sliders(self, values):
        self.sliders.append(tuple(values))

    def say(self, text):
        self.said.append(text)

    def tell(self, lines):
        self.told.append(list(lines))
