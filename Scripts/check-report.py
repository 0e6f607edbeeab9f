#!/usr/bin/env python3
"""Opens a report page in headless Chromium and checks what a reader would stumble over.

    python3 Scripts/check-report.py report.html [--quick] [--screenshots FOLDER] [--chromium PATH]

Checked at widths of 360 and 1280 pixels, light and dark, all tables open and closed: no message on the console, no
request but for the page itself, no sideways scrolling, figures that have a size, each with a table; text inside its
drawing and not over other labels; contrast of text of 4.5 : 1; headings in order; the theme's button; cards at the
pointer and at the focus; arrow keys; the same figures without scripts. Exits with 1 and a line for each fault.

Needs Python 3 and Chromium, nothing else: it speaks the DevTools protocol over a pipe.
"""

import argparse
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

HEIGHTS = {360: 740, 1280: 900}
ALL_VIEWS = [(360, "light"), (1280, "light"), (360, "dark"), (1280, "dark")]
QUICK_VIEWS = [(360, "light"), (1280, "dark")]

# Returns faults of the page as it stands. It runs as text in the page and needs no room of its own there.
INSPECT = r"""
(() => {
  const faults = [];
  const say = (text) => { if (faults.length < 40) faults.push(text); };
  const name = (node) => (node.textContent || "").trim().slice(0, 50);
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll("body *")].filter((node) =>
      node.getBoundingClientRect().right > root.clientWidth + 1 && !node.closest(".scroll, .skip"));
    say(`scrolls sideways: ${root.scrollWidth} > ${root.clientWidth}, by ` +
      wide.slice(0, 3).map((node) => `${node.tagName} '${name(node)}'`).join("; "));
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) say(`heading '${name(heading)}' of level ${own} follows level ${level}`);
    level = own;
  }
  const ids = new Set();
  for (const node of document.querySelectorAll("[id]")) {
    if (ids.has(node.id)) say(`two elements of id ${node.id}`);
    ids.add(node.id);
  }
  for (const node of document.querySelectorAll("[aria-labelledby]"))
    for (const id of node.getAttribute("aria-labelledby").split(" "))
      if (!ids.has(id)) say(`no element of id ${id}, which names another`);
  for (const link of document.querySelectorAll("a[href]"))
    if (!ids.has(link.getAttribute("href").slice(1))) say(`the link '${name(link)}' leads nowhere`);
  for (const figure of document.querySelectorAll("figure")) {
    if (!figure.querySelector("figcaption")) say("a figure without a caption");
    if (!figure.querySelector("table")) say(`no table: ${name(figure.querySelector("figcaption"))}`);
    if (!figure.querySelector("svg")) say(`no drawing: ${name(figure.querySelector("figcaption"))}`);
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption) say("a table without a caption");
    const widths = new Set([...table.rows].map((row) => row.cells.length));
    if (widths.size > 1) say(`a table with rows of ${[...widths]} cells: ${table.caption.textContent}`);
    for (const head of table.querySelectorAll("th"))
      if (!head.scope) say(`a table's head cell without a scope: ${name(head)}`);
  }

  // Contrast, as WCAG 2 computes it.
  const parse = (colour) => {
    const parts = (colour.match(/[\d.]+/g) || []).map(Number);
    return parts.length < 3 || parts[3] === 0 ? null : parts;
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    if (node.ownerSVGElement && node.classList.contains("value")) {
      const rect = node.parentNode.querySelector("rect");
      if (rect) return parse(getComputedStyle(rect).fill);
    }
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour) return colour;
    }
    return [255, 255, 255];
  };
  const seen = new Set();
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    if (["SCRIPT", "STYLE", "title", "desc"].includes(node.tagName)) continue;
    if (!node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const front = parse(node.ownerSVGElement ? style.fill : style.color);
    const back = behind(node);
    if (!front || !back) continue;
    const key = front + "/" + back;
    if (seen.has(key)) continue;
    seen.add(key);
    const [low, high] = [light(front), light(back)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) say(`contrast of ${contrast.toFixed(2)}: '${name(node)}' (${front} on ${back})`);
  }

  let drawings = 0;
  for (const svg of document.querySelectorAll("figure svg")) {
    drawings += 1;
    const box = svg.getBoundingClientRect();
    const title = svg.querySelector("title");
    const what = title ? title.textContent : "?";
    if (box.width < 200 || box.height < 60) say(`${what}: a drawing of ${box.width} × ${box.height}`);
    const texts = [...svg.querySelectorAll("text")].map((node) => [node, node.getBoundingClientRect()]);
    for (const [node, own] of texts) {
      if (own.width === 0) say(`${what}: '${name(node)}' has no size`);
      if (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1)
        say(`${what}: '${name(node)}' leaves the drawing`);
    }
    for (const [index, [node, own]] of texts.entries())
      for (const [other, its] of texts.slice(index + 1)) {
        const across = Math.min(own.right, its.right) - Math.max(own.left, its.left);
        const down = Math.min(own.bottom, its.bottom) - Math.max(own.top, its.top);
        if (across > 1 && down > 0.35 * Math.min(own.height, its.height))
          say(`${what}: '${name(node)}' covers '${name(other)}'`);
      }
    for (const value of svg.outerHTML.match(/(NaN|Infinity|undefined)[^<]{0,20}/g) || [])
      say(`${what}: ${value} in the drawing`);
  }
  if (!drawings) say("no drawing at all");
  return { faults, drawings, background: getComputedStyle(document.body).backgroundColor };
})()
"""

# The middle of the first point of a drawing.
POINT_AT = r"""
(() => {
  const svg = document.querySelectorAll("figure svg")[INDEX];
  const point = svg.querySelector(".pt");
  if (!point) return null;
  point.scrollIntoView({ block: "center", behavior: "instant" });
  const box = (point.querySelector("rect") || point).getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})()
"""

CARD = r"""
(() => {
  const card = document.getElementById("card");
  const box = card.getBoundingClientRect();
  const root = document.documentElement;
  return { shown: !card.hidden, text: card.textContent,
    inside: box.left >= 0 && box.right <= root.clientWidth + 1 && box.top >= 0 };
})()
"""


class Browser:
    """Chromium, spoken to over a pipe: JSON messages that end with a zero byte."""

    def __init__(self, path, profile):
        own_read, its_write = os.pipe()
        its_read, own_write = os.pipe()

        def place():
            # It reads from descriptor 3 and writes to 4. Copies first: either number may be taken by the other.
            read, write = os.dup(its_read), os.dup(its_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [
                path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
                "--disable-extensions", f"--user-data-dir={profile}", "--remote-debugging-pipe",
                "about:blank",
            ],
            close_fds=False, preexec_fn=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(its_read)
        os.close(its_write)
        self.read, self.write = own_read, own_write
        self.buffer = b""
        self.number = 0
        self.session = None
        self.events = []

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write, data):]
        while True:
            answer = self.receive(60)
            if answer is None:
                raise RuntimeError(f"Chromium does not answer {method}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            self.events.append(answer)

    def receive(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.read], [], [], left)[0]:
                return None
            data = os.read(self.read, 1 << 16)
            if not data:
                raise RuntimeError("Chromium ended early; does it start by itself with --headless=new?")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def wait(self, method, seconds=30):
        """Until an event; those before it are kept too."""
        end = time.monotonic() + seconds
        while True:
            event = self.receive(max(0, end - time.monotonic()))
            if event is None:
                raise RuntimeError(f"waited {seconds} s for {method}")
            self.events.append(event)
            if event.get("method") == method:
                return

    def evaluate(self, source):
        result = self.call("Runtime.evaluate", expression=source, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:600])
        return result["result"].get("value")

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.wait("Page.loadEventFired")

    def attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def show(self, width, height, theme):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme},
                      {"name": "prefers-reduced-motion", "value": "reduce"}],
        )

    def screenshot(self, path):
        # The whole page at once, as tall as it is.
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("document.documentElement.clientWidth")
        data = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True,
            clip={"x": 0, "y": 0, "width": width, "height": min(height, 16000), "scale": 1},
        )["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (RuntimeError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def faults_of_events(browser, address):
    """What the page said on the console, and what it asked for."""
    faults = []
    for event in browser.events:
        method, details = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            faults.append("a script failed: " + json.dumps(details["exceptionDetails"])[:300])
        elif method == "Log.entryAdded":
            faults.append("the browser complains: " + details["entry"].get("text", "?")[:300])
        elif method == "Runtime.consoleAPICalled":
            faults.append("the page writes to the console: " + json.dumps(details.get("args"))[:300])
        elif method == "Network.requestWillBeSent":
            url = details["request"]["url"]
            if url.split("#")[0] not in (address, "about:blank"):
                faults.append("the page asks for " + url[:200])
    browser.events.clear()
    return faults


def check_pointer(browser):
    """Cards at the pointer and at the focus; arrow keys; the theme's button."""
    faults = []
    for index in range(browser.evaluate("document.querySelectorAll('figure svg').length")):
        place = browser.evaluate(POINT_AT.replace("INDEX", str(index)))
        if place is None:
            continue
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
        card = browser.evaluate(CARD)
        if not card["shown"] or not card["text"]:
            faults.append(f"drawing {index + 1}: no card at the pointer")
        elif not card["inside"]:
            faults.append(f"drawing {index + 1}: the card leaves the window")
    browser.evaluate("document.querySelector('figure svg .pt').focus()")
    first = browser.evaluate(CARD)
    for kind in ["keyDown", "keyUp"]:
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight",
                     windowsVirtualKeyCode=39)
    second = browser.evaluate(CARD)
    if not first["shown"]:
        faults.append("no card at the focus")
    elif not second["shown"] or second["text"] == first["text"]:
        faults.append("arrow keys do not lead to the next point")
    colour = "getComputedStyle(document.body).backgroundColor"
    before = browser.evaluate(colour)
    browser.evaluate("document.getElementById('theme').click()")
    if browser.evaluate(colour) == before:
        faults.append("the theme's button does nothing")
    browser.evaluate("document.getElementById('theme').click()")
    if browser.evaluate(colour) != before:
        faults.append("the theme's button does not lead back")
    browser.evaluate("document.activeElement.blur(), window.scrollTo(0, 0), localStorage.clear()")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    return faults


def check(page, chromium, views, screenshots):
    faults = []
    address = page.resolve().as_uri()
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(chromium, profile)
        try:
            browser.attach()
            backgrounds, drawings = {}, 0
            for width, theme in views:
                where = f"{width} px, {theme}"
                browser.show(width, HEIGHTS[width], theme)
                browser.open(address)
                found = browser.evaluate(INSPECT)
                backgrounds[theme] = found["background"]
                drawings = found["drawings"]
                faults += [f"{where}: {fault}" for fault in found["faults"]]
                if screenshots:
                    browser.screenshot(screenshots / f"{width}-{theme}.png")
                faults += [f"{where}: {fault}" for fault in check_pointer(browser)]
                browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                found = browser.evaluate(INSPECT)
                faults += [f"{where}, tables open: {fault}" for fault in found["faults"]]
                faults += [f"{where}: {fault}" for fault in faults_of_events(browser, address)]
            if len(set(backgrounds.values())) != len(backgrounds):
                faults.append(f"both themes look alike: {backgrounds}")
            browser.call("Emulation.setScriptExecutionDisabled", value=True)
            browser.open(address)
            found = browser.evaluate(INSPECT)
            faults += [f"without scripts: {fault}" for fault in found["faults"]]
            if found["drawings"] != drawings:
                faults.append(f"without scripts {found['drawings']} drawings of {drawings}")
        finally:
            browser.close()
    # The same fault at every width and theme is said once each: short enough to read all.
    return list(dict.fromkeys(faults)), drawings


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="one width a theme")
    parser.add_argument("--screenshots", type=pathlib.Path, help="a folder for PNG files of the page")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser")
                        or shutil.which("google-chrome"), help="the browser's program")
    arguments = parser.parse_args()
    if not arguments.chromium:
        sys.exit("no Chromium on the PATH: install it, or name one with --chromium")
    if not arguments.page.is_file():
        sys.exit(f"there is no file {arguments.page}")
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    try:
        faults, drawings = check(
            arguments.page, arguments.chromium, QUICK_VIEWS if arguments.quick else ALL_VIEWS,
            arguments.screenshots)
    except (RuntimeError, OSError) as error:
        sys.exit(f"cannot check {arguments.page}: {error}")
    for fault in faults:
        print(fault)
    print(f"{arguments.page.name}: {drawings} drawings, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
