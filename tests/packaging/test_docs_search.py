"""The site in a real browser: its search, asked what people ask, and its pages on a phone."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from platform import freedesktop_os_release
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from tests.packaging.checkout import ROOT
from tests.table import table

QUERIES = {
    "runsc install": ("index", "faq"),
    "OCI runtime create failed": ("faq",),
    "No route to host": ("faq",),
    "unknown or invalid runtime name": ("faq",),
    "uninstall": ("faq",),
    "slow": ("faq",),
    "exit status 128": ("faq",),
    "gpu": ("faq",),
    "podman kubernetes": ("faq",),
    "portainer": ("faq", "platforms", "how-to/compose"),
    "compose apps": ("how-to/compose",),
    "coolify": ("coolify", "how-to/coolify"),
    "firewall": ("egress", "how-to/firewall"),
    "metadata service": ("egress", "reference/egress", "concepts/network"),
    "upgrade runsc": ("how-to/upgrade",),
    "roll back": ("how-to/roll-back",),
    "cloud-init": ("how-to/cloud-init",),
    "nodes without internet": ("how-to/air-gapped",),
    "canary": ("how-to/canary",),
    "gitlab ci cron": ("how-to/ci",),
    "metrics prometheus": ("reference/metrics",),
    "exit codes": ("reference/exit-codes",),
    "live-restore": ("concepts/reload-and-restart",),
    "daemon.json": ("daemon-json",),
    "gvisor_egress": ("reference/settings", "egress", "reference/egress"),
    "audit rules": ("reference/audit-rules",),
    "audit": ("audit", "reference/audit-rules"),
    "compatibility ubuntu": ("compatibility",),
    "threat model": ("threat-model",),
    "attacks": ("security",),
    "glossary": ("glossary",),
    "proven": ("concepts/proven", "proof"),
    "seal": ("concepts/default-runtime",),
}


# Asks the site's own worker, as its search box does, and tells the pages that stand first. The
# image keeps the browser open until then.
PROBE = """<!doctype html><img src="wait"><script>
const told = {}, queries = QUERIES
const worker = new Worker("WORKER")
let next = 0
function ask() {
  if (next < queries.length) worker.postMessage({type: 2, data: queries[next]})
  else fetch("told", {method: "POST", body: JSON.stringify(told)})
}
worker.onmessage = ({data: {type, data}}) => {
  if (type === 3) told[queries[next++]] = (data.items[0] || [{location: "nothing"}])[0].location
  ask()
}
fetch("search/search_index.json").then(found => found.json()).then(index =>
  worker.postMessage({type: 0, data: {...index, options: {suggest: false}}}))
</script>"""

ON_A_PHONE = ("index", "how-to/compose", "reference/settings", "compatibility", "architecture")
# Tells how wide each page would have to be on a phone, and the heights of its pictures' text, in
# pixels. A window is never narrower than 500 pixels, a frame is.
FRAMES = """<!doctype html><img src="wait"><script>
async function measured(page) {
  const frame = document.createElement("iframe")
  frame.style.cssText = "border: 0; width: 390px; height: 2000px"
  frame.src = page + ".html"
  await new Promise(done => { frame.onload = done; document.body.append(frame) })
  const inside = frame.contentDocument, wide = inside.documentElement.scrollWidth, texts = []
  for (const picture of inside.querySelectorAll("article img")) {
    const drawn = inside.createElement("div")
    drawn.style.width = picture.offsetWidth + "px"
    drawn.innerHTML = await (await fetch(picture.src)).text()
    inside.body.append(drawn)
    for (const text of drawn.querySelectorAll("text"))
      texts.push(parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)
  }
  return [page, [wide, texts]]
}
Promise.all(PAGES.map(measured)).then(found =>
  fetch("told", {method: "POST", body: JSON.stringify(Object.fromEntries(found))}))
</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, if there is a browser for it."""
    if not shutil.which("chromium"):
        # Debian's package; Ubuntu has it only as a snap.
        assert "debian" not in freedesktop_os_release()["ID"], "no chromium; run .ci/setup dev"
        pytest.skip("chromium is not installed")
    directory = tmp_path_factory.mktemp("site")
    build = (sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", directory)
    given = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(build, cwd=ROOT, env=given, check=True, timeout=300)
    return directory


@pytest.fixture(scope="module")
def firsts(site: Path) -> dict[str, str]:
    """The page that the site's search shows first, by query."""
    [worker] = (site / "assets/javascripts/workers").glob("search.*.js")
    probe = PROBE.replace("WORKER", str(worker.relative_to(site)))
    return dict(_told(site, probe.replace("QUERIES", json.dumps([*QUERIES]))))


def _told(site: Path, probe: str) -> Any:
    """Return what a page added to the site sends when Chromium opens it."""
    (site / "probe.html").write_text(probe)
    told: Queue[Any] = Queue()

    class Handler(SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def do_GET(self) -> None:
            if self.path == "/wait":
                found = told.get(timeout=60)
                told.put(found)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        _open(f"http://127.0.0.1:{server.server_port}/probe.html", site)
        server.shutdown()
    return told.get(timeout=1)


def _open(url: str, home: Path) -> None:
    """Load a page in Chromium, and wait until all of it is loaded."""
    chromium = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    subprocess.run(
        (*chromium, f"--user-data-dir={home}/.chromium", "--dump-dom", url),
        capture_output=True,
        check=True,
        timeout=120,
    )


@table("query, pages", {query: (query, pages) for query, pages in QUERIES.items()})
def test_a_query_leads_to_its_page_first(
    firsts: dict[str, str], query: str, pages: tuple[str, ...]
) -> None:
    assert firsts[query].partition(".html")[0] in pages


def test_a_page_fits_a_phone_with_readable_pictures(site: Path) -> None:
    found = _told(site, FRAMES.replace("PAGES", json.dumps(ON_A_PHONE)))

    assert {page: wide for page, (wide, _) in found.items()} == dict.fromkeys(ON_A_PHONE, 390)
    smallest = {page: min(heights) for page, (_, heights) in found.items() if heights}
    assert {*smallest} == {"index", "architecture"}
    assert min(smallest.values()) >= 9, smallest
