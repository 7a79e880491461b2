"""Headless Chromium, driven through its DevTools protocol over a pipe: no package but Python's own.

    with Chromium() as browser:
        page = browser.open("file:///…", width=360, dark=True)
        page.js("document.title")
        page.press("Tab")
"""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome")
KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Failed(Exception):
    pass


class Chromium:
    def __init__(self):
        program = os.environ.get("SMELT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        if not program:
            raise Failed("there is no Chromium: tests/setup all installs it, SMELT_CHROMIUM names one")
        self.home = tempfile.mkdtemp(prefix="smelt-chromium-")
        # The browser reads from descriptor 3 and writes to 4.
        there, self.write = os.pipe()
        self.read, back = os.pipe()
        there, back = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (there, back))

        def place():
            os.dup2(there, 3)
            os.dup2(back, 4)
        flags = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.home}", "--no-first-run", "--disable-gpu",
                 "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking", "--hide-scrollbars"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        self.log = open(os.path.join(self.home, "log"), "w+b")
        self.process = subprocess.Popen([program, *flags, "about:blank"], close_fds=False, preexec_fn=place, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        os.close(there)
        os.close(back)
        self.buffer, self.id, self.events = b"", 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.write)
        os.close(self.read)
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def message(self, patience=30):
        while b"\0" not in self.buffer:
            if not select.select([self.read], [], [], patience)[0]:
                raise Failed(f"Chromium says nothing for {patience} s")
            more = os.read(self.read, 1 << 20)
            if not more:
                self.log.seek(0)
                raise Failed("Chromium ended:\n" + self.log.read().decode(errors="replace")[-2000:])
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, to=None, **params):
        self.id += 1
        out = {"id": self.id, "method": method, "params": params}
        if to:
            out["sessionId"] = to
        os.write(self.write, json.dumps(out).encode() + b"\0")
        while True:
            got = self.message()
            if got.get("id") != self.id:
                self.events.append(got)
            elif "error" in got:
                raise Failed(f"{method}: {got['error']['message']}")
            else:
                return got["result"]

    def open(self, url, width=1200, height=900, dark=False, script=True):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.call("Emulation.setScriptExecutionDisabled", value=not script)
        page.call("Page.navigate", url=url)
        while not page.events("Page.loadEventFired"):
            self.events.append(self.message())
        return page


class Page:
    def __init__(self, browser, to, target):
        self.browser, self.to, self.target = browser, to, target

    def call(self, method, **params):
        return self.browser.call(method, self.to, **params)

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def events(self, method):
        return [e["params"] for e in self.browser.events if e.get("sessionId") == self.to and e["method"] == method]

    def js(self, expression):
        """The value of an expression, as JSON."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in got:
            raise Failed(f"{expression}: {got['exceptionDetails']['exception'].get('description')}")
        return got["result"].get("value")

    def press(self, key, shift=False):
        what = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 if shift else 0}
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **what, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def requests(self):
        """Addresses that the page asked for, but for itself."""
        own = self.js("location.href").split("#")[0]
        return [u for u in (e["request"]["url"] for e in self.events("Network.requestWillBeSent")) if u.split("#")[0] != own]

    def complaints(self):
        """Errors and warnings of the console, and exceptions."""
        return ([e["exceptionDetails"]["text"] for e in self.events("Runtime.exceptionThrown")]
                + [e["entry"]["text"] for e in self.events("Log.entryAdded")]
                + [e["type"] for e in self.events("Runtime.consoleAPICalled")])

    def screenshot(self, path, pieces=1, tall=1400):
        """PNG files PATH-0.png …, one below the other."""
        height, width = self.js("document.documentElement.scrollHeight"), self.js("innerWidth")
        for i in range(min(pieces, -(-height // tall))):
            clip = {"x": 0, "y": i * tall, "width": width, "height": min(tall, height - i * tall), "scale": 1}
            data = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            with open(f"{path}-{i}.png", "wb") as f:
                f.write(base64.b64decode(data))
