"""The HTML report in headless Chromium: it shows, it fits, it asks nobody, nothing is amiss."""

import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from platform import freedesktop_os_release

import pytest
from PIL import Image

from pyinfra_gvisor.report.document import FleetReport
from pyinfra_gvisor.report.page import page
from tests.unit.report.reports import (
    SOCKET,
    WAIVED,
    container,
    every_state,
    failed,
    fleet,
    host,
    unknown,
)

SITE = "http://report.test"
SCREEN = 900  # pixels of height
# A window is never narrower than 500 pixels, a frame is.
FRAME = """<!DOCTYPE html><link rel="icon" href="data:,">
<style>body { margin: 0 } iframe { border: 0; width: WIDTHpx; height: SCREENpx }</style>
<iframe src="fleet.html"></iframe><p></p>
<script>
document.querySelector("iframe").onload = event => {
  const page = event.target.contentDocument.documentElement;
  document.querySelector("p").textContent =
    `size: ${page.clientWidth} ${page.scrollWidth} ${page.scrollHeight}`;
};
</script>
"""
# What the browser asks its maker, whatever the page.
PHONES_HOME = ("//clients2.google.com", "update.googleapis.com:443", "accounts.google.com:443")

Colour = tuple[int, int, int]
LIGHT: dict[str, Colour] = {
    "failed": (195, 38, 45),
    "unknown": (106, 63, 165),
    "findings": (149, 97, 10),
    "clean": (26, 127, 75),
}
DARK: dict[str, Colour] = {
    "failed": (255, 111, 111),
    "unknown": (187, 154, 245),
    "findings": (224, 166, 60),
    "clean": (68, 185, 129),
}


@dataclass
class Browser:
    """Chromium behind a proxy that knows one site, and writes down what is asked of any."""

    directory: Path
    files: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def run(self, *flags: str, path: str = "fleet.html") -> tuple[str, list[str]]:
        """What it printed, and what the page complained of."""
        done = subprocess.run(
            [
                *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu"),
                *("--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
                *("--disable-sync", "--enable-logging=stderr"),
                f"--user-data-dir={self.directory}/profile",
                *(f"--proxy-server=127.0.0.1:{self.port}", *flags, f"{SITE}/{path}"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def shot(self, report: FleetReport, *flags: str, height: int = 1600) -> Image.Image:
        """The page as it looks 1280 pixels wide."""
        self.files["fleet.html"] = page(report)
        path = self.directory / "shot.png"
        _, complaints = self.run(*flags, f"--window-size=1280,{height}", f"--screenshot={path}")
        assert complaints == []
        return Image.open(path).convert("RGB")

    def sizes(self, report: FleetReport, width: int) -> tuple[int, int, int]:
        """How wide a frame is, and how wide and high the page in it has to be, in pixels."""
        frame = FRAME.replace("WIDTH", str(width)).replace("SCREEN", str(SCREEN))
        self.files |= {"fleet.html": page(report), "frame.html": frame}
        printed, complaints = self.run("--dump-dom", path="frame.html")
        assert complaints == []
        found = re.search(r"size: (\d+) (\d+) (\d+)", printed)
        assert found, printed
        return int(found[1]), int(found[2]), int(found[3])

    @property
    def asked_by_the_page(self) -> list[str]:
        """Every address that was asked for, the browser's own ones left out."""
        return [url for url in self.asked if not any(part in url for part in PHONES_HOME)]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser with an empty site."""
    if not shutil.which("chromium"):
        # Ubuntu has it as a snap only, which .ci/setup does not install.
        assert "debian" not in freedesktop_os_release()["ID"], "no chromium; run .ci/setup dev"
        pytest.skip("chromium is not installed")
    made = Browser(tmp_path)

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            body = made.files.get(self.path.removeprefix(f"{SITE}/"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((body or "").encode())

        def do_CONNECT(self) -> None:
            made.asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        made.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def colours(image: Image.Image) -> Counter[Colour]:
    """How many pixels there are of each colour."""
    return Counter(image.get_flattened_data())


def test_the_page_shows_every_states_colour_and_asks_for_nothing_else(browser: Browser) -> None:
    found = colours(browser.shot(every_state()))

    assert {state for state, colour in LIGHT.items() if found[colour] > 100} == {*LIGHT}
    assert found[LIGHT["failed"]] > 1000  # the verdict
    assert browser.asked_by_the_page == [f"{SITE}/fleet.html"]


def test_a_clean_fleet_shows_no_other_states_colour_in_quantity(browser: Browser) -> None:
    found = colours(browser.shot(fleet(host("run-1"), host("run-2")), height=700))

    assert found[LIGHT["clean"]] > 1000
    assert {state for state, colour in LIGHT.items() if found[colour] >= 400} == {"clean"}


def test_the_page_is_dark_where_that_is_preferred(browser: Browser) -> None:
    found = colours(browser.shot(every_state(), "--blink-settings=preferredColorScheme=0"))

    (most, _), *_ = found.most_common(1)
    assert max(most) < 60
    assert {state for state, colour in DARK.items() if found[colour] > 100} == {*DARK}


def test_the_page_fits_a_phone_whatever_the_names(browser: Browser) -> None:
    long = failed("a-very-long-name-" * 9 + "x" * 200)
    finding = long.findings[0].model_copy(
        update={"subject": "/" + "s" * 300, "id": "i" * 90, "evidence": "e" * 400, "waived": None}
    )
    box = long.containers[0].model_copy(
        update={"name": "n" * 200, "image": "registry/" + "i" * 200, "asked": "r" * 90}
    )
    odd = long.model_copy(update={"findings": (finding,), "containers": (box,)})

    *widths, _ = browser.sizes(fleet(host("run-1"), failed(), odd, unknown("u", "e" * 300)), 320)

    assert widths == [320, 320]


def crowded(hosts: int, containers: int) -> FleetReport:
    """Hosts where one container in seven is not in gVisor, and ten rules find each of them."""
    names = [f"shop-app-{number}-143355" for number in range(containers)]
    found = [
        SOCKET.model_copy(update={"id": f"rule-{rule}", "subject": name, "evidence": "e " * 300})
        for rule in range(10)
        for name in names
    ]
    boxes = tuple(container(name, sandboxed=at % 7 > 0) for at, name in enumerate(names))
    return fleet(*(host(f"run-{at}", *found, WAIVED, containers=boxes) for at in range(hosts)))


@pytest.mark.parametrize(("hosts", "containers"), [(2, 7), (10, 30)])
def test_containers_come_first_and_all_is_at_most_six_screens_long(
    browser: Browser, hosts: int, containers: int
) -> None:
    report = crowded(hosts, containers)
    text = page(report)
    order = ["<h2>Containers", 'class="breaking"', ">In gVisor:", "<h2>Findings", '"evidence"']

    wide, phone = browser.sizes(report, 1280), browser.sizes(report, 390)

    assert wide[:2] == (1280, 1280)
    assert wide[2] <= 6 * SCREEN
    assert phone[:2] == (390, 390)
    assert sorted(order, key=text.index) == order


def test_paper_has_one_line_for_every_clean_host_and_its_container(browser: Browser) -> None:
    clean = [host(f"run-{number}") for number in range(300)]
    browser.files["fleet.html"] = page(fleet(failed("z"), *clean))
    path = browser.directory / "page.pdf"

    _, complaints = browser.run("--no-pdf-header-footer", f"--print-to-pdf={path}")

    assert complaints == []
    # Folded up there are 3 pages, with what was seen on clean hosts more than 100.
    assert 600 / 40 < len(re.findall(rb"/Type ?/Page\b", path.read_bytes())) < 600 / 20
