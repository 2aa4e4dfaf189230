"""The wordings of the pages in one language; wording.toml holds them all."""

import tomllib
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = ("zh", "en")
WORDINGS: Final[dict[str, list[str]]] = tomllib.loads(
    (files("algoplatform.console") / "wording.toml").read_text("utf-8")
)


def language_of(cookie: str | None, accepted: str) -> str:
    """Return the language of a visitor: that of the cookie, or English if the browser prefers it to Chinese."""
    if cookie in LANGUAGES:
        return cookie
    best, chosen = 0.0, "zh"
    for part in accepted[:1000].split(","):
        name, _, quality = part.replace(" ", "").lower().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if name.partition("-")[0] in LANGUAGES and weight > best:
            best, chosen = weight, name.partition("-")[0]
    return chosen


class Words:
    """The wordings in one language: `words("count", n=3)`."""

    def __init__(self, language: str) -> None:
        self._at = LANGUAGES.index(language)

    def __call__(self, key: str, **values: Any) -> str:
        text = WORDINGS[key][self._at]
        return text.format(**values) if values else text

    def hint(self, name: str) -> str:
        """Return the hint of a field, empty if it needs none."""
        key = f"{name}_hint"
        return self(key) if key in WORDINGS else ""
