"""The search of the site: its own index and engine, asked what people ask, in a real browser."""

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


@pytest.fixture(scope="module")
def firsts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The page that the site's search shows first, by query."""
    if not shutil.which("chromium"):
        # Debian's package; Ubuntu has it only as a snap.
        assert "debian" not in freedesktop_os_release()["ID"], "no chromium; run .ci/setup dev"
        pytest.skip("chromium is not installed")
    site = tmp_path_factory.mktemp("site")
    build = (sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", site)
    given = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(build, cwd=ROOT, env=given, check=True, timeout=300)
    [worker] = (site / "assets/javascripts/workers").glob("search.*.js")
    probe = PROBE.replace("WORKER", str(worker.relative_to(site)))
    (site / "probe.html").write_text(probe.replace("QUERIES", json.dumps([*QUERIES])))
    told: Queue[dict[str, str]] = Queue()

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
    chromium = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu")
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
