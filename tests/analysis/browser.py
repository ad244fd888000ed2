"""A headless Chromium, spoken to through its DevTools protocol over two pipes: what a page really does in a browser."""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

PROGRAM = "chromium"
# As root it needs --no-sandbox; the rest keeps it from asking the network for things of its own, and from small /dev/shm.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-default-apps", "--disable-extensions", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe"]

# A program of its own: these two descriptors may be 3 and 4 themselves, the wrong way round.
AS_3_AND_4 = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, pipe in zip((3, 4), pipes):
    os.dup2(pipe, number)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab."""

    def __init__(self, process, write, read):
        self._process, self._write, self._read, self._buffer = process, write, read, b""
        self._number, self.events, self._session = 0, [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def _receive(self, deadline):
        while b"\0" not in self._buffer:
            if time.monotonic() > deadline:
                raise TimeoutError("the browser did not answer")
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise EOFError(f"the browser ended with {self._process.wait(10)}")
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **parameters):
        """A command's result; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **({"sessionId": self._session} if self._session else {})}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _wait_for(self, event):
        deadline = time.monotonic() + 60
        while not any(e.get("method") == event for e in self.events):
            self.events.append(self._receive(deadline))

    def open(self, path, width, height=900, dark=False, medium="screen"):
        """Opens a local page in a window of that width; waits until it has loaded and images are decoded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", media=medium, features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self._wait_for("Page.loadEventFired")
        self.evaluate("Promise.all([...document.images].map(image => image.decode().catch(() => 0)))")

    def evaluate(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def screenshot(self, whole=True):
        """PNG of the whole page, or of the window."""
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def pdf(self):
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def requests(self):
        """Addresses that the page asked for since it was opened, data: and itself included."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """Exceptions, errors and warnings of scripts, of the page and of loading."""
        failed = [e["params"] for e in self.events if e["method"] in ("Network.loadingFailed", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
        return failed + [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]


@contextmanager
def started():
    if not shutil.which(PROGRAM):
        raise FileNotFoundError(f"no program {PROGRAM}: the page's tests need a browser; jobs/install_packages.sh tests installs it")
    from_test, to_browser = os.pipe()  # the browser reads its descriptor 3 and writes 4
    to_test, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [sys.executable, "-c", AS_3_AND_4, str(from_test), str(from_browser), PROGRAM, *FLAGS, f"--user-data-dir={profile}"]
        process = subprocess.Popen(command, pass_fds=(from_test, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(from_test)
        os.close(from_browser)
        try:
            yield Browser(process, to_browser, to_test)
        finally:
            os.close(to_browser)
            os.close(to_test)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
