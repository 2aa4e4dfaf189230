"""A site's settings for the rules: severities, exemptions, GPU cards and node ports."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final, Self

from algoplatform.planning.lint.rules import RULES, SEVERITIES, Severity
from algoplatform.planning.lint.themes.resources import Rounded

_EXEMPTION: Final = ("rule", "image", "reason", "until")
_MAX_CARD: Final = 2**31 - 1
_CARD: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Exemption:
    """Images exempt from a rule: `image` is a pattern of `name:tag` with `*` and `?`, `until` the last day."""

    rule: str
    image: str
    reason: str
    until: date | None = None

    def matcher(self) -> re.Pattern[str]:
        pieces = {"*": ".*", "?": "."}
        return re.compile("".join(pieces.get(character) or re.escape(character) for character in self.image))


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of the rules.

    `cards` is the memory of each kind of GPU card in MiB. `rounded` returns the GPU memory that a profile reserves
    for a request. `platform` is the nodes' os/architecture.
    """

    severities: Mapping[str, Severity] = field(default_factory=dict)
    exemptions: Sequence[Exemption] = ()
    cards: Sequence[int] = ()
    node_ports: range = range(30000, 32768)
    rounded: Rounded | None = None
    platform: str = "linux/amd64"

    @classmethod
    def parse(cls, severity: str, exemptions: str, cards: str, node_ports: range) -> Self:
        """Parse settings; raises ValueError, whose message begins with the name of the setting."""
        parsed: dict[str, Any] = {}
        for setting, name, parse, text in (
            ("LINT_SEVERITY", "severities", parse_severity, severity),
            ("LINT_EXEMPTIONS", "exemptions", parse_exemptions, exemptions),
            ("GPU_CARDS", "cards", parse_cards, cards),
        ):
            try:
                parsed[name] = parse(text)
            except ValueError as error:
                raise ValueError(f"{setting}: {error}") from None
        return cls(node_ports=node_ports, **parsed)

    def asked(self, cards: Sequence[int] | None = None, rounded: Rounded | None = None) -> "Policy":
        """Return the policy with the cards and the GPU profile that a request names."""
        return replace(self, cards=sorted(cards or self.cards), rounded=rounded or self.rounded)

    def active(self, today: date) -> dict[str, list[re.Pattern[str]]]:
        """Return by rule the image patterns of the exemptions that have not expired."""
        found: dict[str, list[re.Pattern[str]]] = {}
        for exemption in self.exemptions:
            if exemption.until is None or today <= exemption.until:
                found.setdefault(exemption.rule, []).append(exemption.matcher())
        return found


def parse_severity(text: str) -> dict[str, Severity]:
    """Parse `{"rule": "error|warning|info"}`; raises ValueError."""
    said = _json(text, "{}")
    if not isinstance(said, dict):
        raise ValueError('must be a JSON object such as {"tag-latest": "error"}')
    for rule, severity in said.items():
        _check_rule(rule)
        if severity not in SEVERITIES:
            raise ValueError(f"the severity of {rule} must be one of {', '.join(SEVERITIES)}")
    return said


def parse_exemptions(text: str) -> list[Exemption]:
    """Parse a list of `{"rule", "image", "reason", "until"}`; `until` may be absent. Raises ValueError."""
    said = _json(text, "[]")
    if not isinstance(said, list):
        raise ValueError('must be a JSON list such as [{"rule": "tag-latest", "image": "algo/*", "reason": "…"}]')
    return [_exemption(number, item) for number, item in enumerate(said, 1)]


def parse_cards(text: str) -> list[int]:
    """Parse sizes of cards in MiB, comma separated or a JSON list; return them sorted. Raises ValueError."""
    items = [item.strip() for item in text.strip().removeprefix("[").removesuffix("]").split(",")]
    if items == [""]:
        return []
    if not all(_CARD.fullmatch(item) and 1 <= int(item) <= _MAX_CARD for item in items):
        raise ValueError("must be the memory of each kind of card in MiB, comma separated, such as 15109,24268")
    return sorted(map(int, items))


def _json(text: str, empty: str) -> Any:
    try:
        return json.loads(text.strip() or empty)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None


def _check_rule(rule: object) -> None:
    if rule not in RULES:
        raise ValueError(f"there is no rule {json.dumps(rule)[:64]}")


def _exemption(number: int, item: Any) -> Exemption:
    where = f"exemption {number}"
    if not isinstance(item, dict) or not set(item) <= set(_EXEMPTION):
        raise ValueError(f"{where} must be an object with rule, image, reason and until only")
    if any(not isinstance(value, str) for value in item.values()):
        raise ValueError(f"{where} must have texts as values")
    for name in _EXEMPTION[:3]:
        if not item.get(name, "").strip():
            raise ValueError(f"{where} needs {name}")
    try:
        _check_rule(item["rule"])
        until = date.fromisoformat(item["until"]) if "until" in item else None
    except ValueError as error:
        what = f"until must be a day such as 2027-01-31 in {where}" if item["rule"] in RULES else f"{where}: {error}"
        raise ValueError(what) from None
    return Exemption(item["rule"], item["image"], item["reason"], until)
