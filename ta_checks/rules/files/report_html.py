"""The HTML page of a study, read back by the parser of Python's library: what a browser would see of it.

Belongs here: elements, scripts, texts. Stays out: what they must be (the checks of ``report``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

DATA = "application/json"
VOID = {"meta", "link", "img", "input", "br", "hr"}


@dataclass
class Script:
    """One script, of whatever type."""

    attributes: Mapping[str, str | None]
    text: str = ""

    @property
    def runs(self) -> bool:
        """Whether a browser runs it as the page is read."""
        return self.attributes.get("type") in (None, "", "module", "text/javascript", "application/javascript")


@dataclass
class Page(HTMLParser):
    """Everything of a page that the checks look at."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    """Every element but the scripts, in order."""
    scripts: list[Script] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Texts of the elements of class ``said``, spaces joined."""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside: list[tuple[str, bool]] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        attributes = dict(attrs)
        if tag == "script":
            self.scripts.append(Script(attributes))
        else:
            self.elements.append((tag, attributes))
        if tag not in VOID:
            is_said = "said" in (attributes.get("class") or "").split()
            self.said += [""] if is_said else []
            self._inside.append((tag, is_said))

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and with it those in it that were not closed."""
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Text of the innermost element."""
        if self._inside and self._inside[-1][0] == "script":
            self.scripts[-1].text += data
        elif any(is_said for _, is_said in self._inside):
            self.said[-1] = " ".join(f"{self.said[-1]} {data}".split())

    def meta(self, name: str) -> str | None:
        """Content of the meta element of that name or ``http-equiv``."""
        for tag, attributes in self.elements:
            if tag == "meta" and name in (attributes.get("name"), attributes.get("http-equiv")):
                return attributes.get("content")
        return None

    def main(self) -> dict[str, Any]:
        """The embedded values.

        Raises:
            ValueError: there are none, or not as JSON.
        """
        found = [one for one in self.scripts if one.attributes.get("id") == "main-data"]
        if len(found) != 1:
            raise ValueError(f"{len(found)} scripts have the id main-data")
        return json.loads(found[0].text)

    def traces(self) -> dict[str, dict[str, Any]]:
        """The embedded traces: ``setting/problem`` -> its values.

        Raises:
            ValueError: one is no JSON.
        """
        named = [(one.attributes.get("data-trace"), one.text) for one in self.scripts]
        return {name: json.loads(text) for name, text in named if name is not None}
