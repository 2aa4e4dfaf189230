"""One run of lint: takes records, returns findings as they are found, and counts them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from algoplatform.domain.record.model import reference_of
from algoplatform.planning.lint.across import Candidate, Survey
from algoplatform.planning.lint.asked import Asked
from algoplatform.planning.lint.findings import Finding, Flaw
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.record import Record
from algoplatform.planning.lint.rules import RULES, Severity
from algoplatform.planning.lint.single import flaws
from algoplatform.planning.lint.themes.ports import reserved


class Linter:
    """Applies all rules to records, and returns the findings asked for: by rule, severity and page."""

    def __init__(self, policy: Policy, asked: Asked, today: date) -> None:
        self._policy = policy
        self._asked = asked
        self._kept = reserved(policy.node_ports)
        self._exempt: dict[str, list[re.Pattern[str]]] = policy.active(today)
        self._severities = self._wanted()
        self.survey = Survey(policy.node_ports, self._is_exempt if self._exempt else None)
        # A Counter takes twice as long to add to, and many records have ten findings.
        self._counts = dict.fromkeys(RULES, 0)
        self.total = 0

    @property
    def counts(self) -> Counter[str]:
        """The number of findings asked for of each rule, without the rules that have none."""
        return +Counter(self._counts)

    def _wanted(self) -> dict[str, Severity]:
        severities = {rule.id: self._policy.severities.get(rule.id, rule.severity) for rule in RULES.values()}
        return {rule: severity for rule, severity in severities.items() if self._is_asked(rule, severity)}

    def _is_asked(self, rule: str, severity: str) -> bool:
        rules, severities = self._asked.rules, self._asked.severities
        return (rules is None or rule in rules) and (severities is None or severity in severities)

    def check(self, records: Sequence[Record], *, given: bool = True) -> list[Finding]:
        """Add records and return their own findings; if not `given`, they only take part in rules across records."""
        found: list[Finding] = []
        for record in records:
            self.add(record, found, given=given)
        return found

    def add(self, record: Record, found: list[Finding], *, given: bool) -> None:
        """Add a record and, if `given`, append its own findings to `found`."""
        reference = reference_of(record)
        self.survey.add(record, reference, given=given)
        if not given:
            return
        single = flaws(record, self._policy, self._kept)
        if self._exempt:
            single = [flaw for flaw in single if not self._is_exempt(flaw.rule, reference)]
        if single:
            self._place(self._findings(single, [reference]), found)

    def _findings(self, single: Sequence[Flaw], names: Sequence[str]) -> list[Finding]:
        """Return the findings that are asked for, and count them."""
        severity_of, counts = self._severities.get, self._counts
        # Takes half as long as calling the class.
        make = tuple.__new__
        found: list[Finding] = []
        for flaw in single:
            rule = flaw[0]
            if severity := severity_of(rule):
                counts[rule] += 1
                found.append(make(Finding, (flaw, severity, names)))
        return found

    def _place(self, fresh: list[Finding], found: list[Finding]) -> None:
        """Append those findings that are on the page."""
        before = self.total
        self.total += len(fresh)
        if self._asked.end is None:
            found += fresh
        elif fresh:
            found += fresh[max(self._asked.first - before, 0) : max(self._asked.end - before, 0)]

    def across(self) -> Iterator[list[Finding]]:
        """Yield the findings across records, once all are added; yields many empty lists, to let other tasks run."""
        references = self.survey.references()
        for candidate in self.survey.candidates():
            found: list[Finding] = []
            if candidate and any(map(self.survey.is_given, candidate.numbers)):
                self._judge(candidate, [references[number] for number in candidate.numbers], found)
            yield found

    def _judge(self, candidate: Candidate, images: list[str], found: list[Finding]) -> None:
        rule = candidate.flaw.rule
        severity = self._policy.severities.get(rule, candidate.severity)
        if not self._is_asked(rule, severity):
            return
        if self._exempt and any(self._is_exempt(rule, image) for image in images):
            return
        self._counts[rule] += 1
        self._place([Finding(candidate.flaw, severity, images)], found)

    def _is_exempt(self, rule: str, reference: str) -> bool:
        return any(pattern.fullmatch(reference) for pattern in self._exempt.get(rule, ()))
