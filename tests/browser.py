"""A headless Chromium for tests, by chromedriver's own HTTP protocol (W3C WebDriver)."""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key by which WebDriver names an element
ENTER, ESCAPE = "\ue007", "\ue00c"


def skip_without_browser():
    """Skip the test where Chromium or its driver is not installed."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (Debian: chromium, chromium-driver)")


class Browser:
    """One window of a headless Chromium."""

    def __init__(self, port):
        self._base = f"http://127.0.0.1:{port}"
        options = {
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
            "binary": shutil.which("chromium"),
        }
        wanted = {"goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL", "performance": "ALL"}
        capabilities = {"capabilities": {"alwaysMatch": wanted}}
        self._session = self._ask("POST", "/session", capabilities)["sessionId"]

    def _ask(self, method, path, body=None):
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, content, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def _post(self, path, **body):
        return self._ask("POST", f"/session/{self._session}{path}", body)

    def open(self, path):
        """Open a file."""
        self._post("/url", url=path.absolute().as_uri())

    def run(self, script, *args):
        """Return what a script gives back."""
        return self._post("/execute/sync", script=script, args=list(args))

    def run_until_called(self, script):
        """Return what a script hands to its last argument."""
        return self._post("/execute/async", script=script, args=[])

    def find(self, selector):
        """Return an element by a CSS selector."""
        found = self._post("/element", using="css selector", value=selector)
        return found[ELEMENT]

    def click(self, selector):
        """Click on an element as a person does."""
        self._post(f"/element/{self.find(selector)}/click")

    def press(self, selector, keys):
        """Press keys on an element."""
        self._post(f"/element/{self.find(selector)}/value", text=keys)

    def command(self, name, **parameters):
        """Send a command of Chromium's own protocol."""
        return self._post("/goog/cdp/execute", cmd=name, params=parameters)

    def resize(self, width, height=900, *, scale=1):
        """Give the page a window of this size."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def colours(self, scheme):
        """Set what the page is told of the person's colours: ``dark`` or ``light``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def shoot(self, path, *, whole=False):
        """Write a screenshot, of the whole page or of the window."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        extra = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}} if whole else {}
        shot = self.command("Page.captureScreenshot", format="png", **extra)
        path.write_bytes(base64.b64decode(shot["data"]))

    def console(self):
        """Return the texts of the console since the last call."""
        return [row["message"] for row in self._post("/se/log", type="browser")]

    def requests(self):
        """Return the addresses that were asked for since the last call."""
        rows = [
            json.loads(row["message"])["message"]
            for row in self._post("/se/log", type="performance")
        ]
        sent = [row["params"] for row in rows if row["method"] == "Network.requestWillBeSent"]
        return [row["request"]["url"] for row in sent]

    def close(self):
        """End the session."""
        self._ask("DELETE", f"/session/{self._session}")


@contextlib.contextmanager
def open_browser():
    """Start a browser and end it for certain."""
    skip_without_browser()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([shutil.which("chromedriver"), f"--port={port}"], **streams) as driver:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            browser = Browser(port)
            yield browser
            browser.close()
        finally:
            driver.terminate()
