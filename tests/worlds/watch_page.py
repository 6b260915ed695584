"""The page of a run as its own scripts draw it, without a browser: what they need of one is written here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Final

import pytest

from curation.watch.server import SCRIPTS, html
from curation.watch.statuses import Watched
from curation.watch.summary import listed, view
from tests.worlds.html_page import Page

DOCUMENT: Final = """
let numNodes = 0;
class Node {
  static TEXT_NODE = 3;
  constructor(nodeName) {
    Object.assign(this, { nodeName, number: numNodes++, childNodes: [], parent: null, changes: 0 });
  }
  touched() { for (let node = this; node; node = node.parent) node.changes += 1; }
  place(children) {
    return children.map((child) => {
      const node = child instanceof Node ? child : new Text(String(child));
      if (node.parent) node.remove();
      node.parent = this;
      return node;
    });
  }
  append(...children) { this.childNodes.push(...this.place(children)); this.touched(); }
  remove() {
    this.parent.touched();
    this.parent.childNodes = this.parent.childNodes.filter((node) => node !== this);
    this.parent = null;
  }
  replaceWith(other) {
    const { parent } = this;
    const [placed] = parent.place([other]);
    parent.childNodes = parent.childNodes.map((node) => (node === this ? placed : node));
    this.parent = null;
    parent.touched();
  }
  get textContent() { return this.childNodes.map((node) => node.textContent).join(""); }
  set textContent(text) { this.childNodes = []; this.append(text); }
}
class Text extends Node {
  constructor(text) { super("#text"); this.nodeType = Node.TEXT_NODE; this.text = text; }
  get data() { return this.text; }
  set data(text) { this.text = text; this.touched(); }
  get textContent() { return this.text; }
}
class Element extends Node {
  constructor(name) { super(name); Object.assign(this, { nodeType: 1, attributes_: new Map(), listeners: {} }); }
  setAttribute(name, value) { this.attributes_.set(name, String(value)); this.touched(); }
  getAttribute(name) { return this.attributes_.get(name) ?? null; }
  hasAttribute(name) { return this.attributes_.has(name); }
  removeAttribute(name) { this.attributes_.delete(name); this.touched(); }
  getAttributeNames() { return [...this.attributes_.keys()]; }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  click() { this.listeners.click({ currentTarget: this }); }
  get classList() { return { toggle() {} }; }
  get dataset() { return { job: this.getAttribute("data-job") }; }
}
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const parts = new Map(input.ids.map((id) => [id, new Element("div")]));
parts.get("about").textContent = JSON.stringify({ run: "made" });
const document = {
  createElement: (name) => new Element(name), createElementNS: (_, name) => new Element(name),
  getElementById: (id) => parts.get(id) ?? null, addEventListener() {}, hidden: false, title: "",
};
const location = { hash: "" };
const history = { replaceState: (_, __, hash) => { location.hash = hash; } };
const addEventListener = () => {}, setTimeout = () => 0, clearTimeout = () => {};
const addresses = [];
let answered;
const fetch = async (address) => {
  addresses.push(address);
  return { ok: true, json: async () => structuredClone(answered) };
};
answered = input.answers[0];
"""
DRIVER: Final = """
const nodesOf = (node) =>
  [{ number: node.number, name: node.nodeName, text: node.textContent }, ...node.childNodes.flatMap(nodesOf)];
(async () => {
  const drawn = [];
  for (const [index, answer] of input.answers.entries()) {
    answered = answer;
    if (index) await ask();
    else await new Promise(setImmediate);
    drawn.push({ title: document.title, parts: Object.fromEntries([...parts].map(([id, part]) =>
      [id, { text: part.textContent, changes: part.changes, nodes: nodesOf(part), hidden: part.hidden ?? false }])) });
  }
  parts.get("jobs").childNodes[0]?.click();
  console.log(JSON.stringify({ drawn, rough: input.seconds.map(rough), address: addresses.at(-1) }));
})();
"""


class Drawn:
    """The page after one answer of its server."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.title = str(told["title"])
        self.parts: dict[str, dict[str, Any]] = told["parts"]

    def text(self, part: str) -> str:
        """The text of the part with this id."""
        return str(self.parts[part]["text"])

    def nodes(self, part: str, name: str) -> dict[str, int]:
        """Text → number of the elements of a name in a part; an element keeps its number while it stays in the page."""
        return {node["text"]: node["number"] for node in self.parts[part]["nodes"] if node["name"] == name}

    def changes(self, part: str) -> int:
        """How often something was changed in a part."""
        return int(self.parts[part]["changes"])


def answer_of(jobs: Sequence[Watched], run: str = "/run") -> dict[str, Any]:
    """What the server answers: the jobs, of which the first is shown."""
    return {"jobs": [listed(job, run) for job in jobs], "shown": view(jobs[0], run) if jobs else None}


def drawn(answers: Sequence[dict[str, Any]], seconds: Sequence[float] = ()) -> tuple[list[Drawn], list[str], str]:
    """Let the page's scripts draw one answer after the other.

    Args:
        answers: of the server.
        seconds: times that the page is to put into words.

    Returns:
        the page after each answer; the words; and the address that is asked for once the first job's button is clicked.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the page's scripts")
    ids = [attributes["id"] for _, attributes in Page(html("made")).elements if "id" in attributes]
    given = json.dumps({"ids": ids, "answers": answers, "seconds": list(seconds)})
    script = "".join([DOCUMENT, *(path.read_text() for path in SCRIPTS), DRIVER])
    done = subprocess.run([node, "-e", script], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    pages = [Drawn(each) for each in told["drawn"]]
    # What breaks a script is caught there, and told as a server that does not answer.
    assert not any(page.text("away") for page in pages), [page.text("away") for page in pages]
    return pages, told["rough"], told["address"]
