"""All rules over one record."""

from algoplatform.domain.record.model import Image, reference_of
from algoplatform.planning.lint.findings import Finding, Flaw
from algoplatform.planning.lint.policy import Policy
from algoplatform.planning.lint.record import ARTIFACT, Record, first_word, remembered
from algoplatform.planning.lint.rules import RULES
from algoplatform.planning.lint.themes import (
    artifacts,
    environment,
    host_paths,
    images,
    mounts,
    ports,
    resources,
    shell,
)


def check_image(image: Image, policy: Policy) -> list[Finding]:
    """Return the findings of one image; exemptions do not apply."""
    record = image.values()
    names = [reference_of(record)]
    found = flaws(record, policy, ports.reserved(policy.node_ports))
    return [Finding(flaw, policy.severities.get(flaw.rule, RULES[flaw.rule].severity), names) for flaw in found]


def flaws(record: Record, policy: Policy, kept: range) -> list[Flaw]:
    """Return the flaws of a record; `kept` are the node ports that Kubernetes never chooses itself."""
    get = record.get
    found = images.flaws(record)
    if text := get("imagePorts"):
        found += ports.flaws(text, kept)
    host_path, command, args = get("hostPath"), get("command"), get("args")
    found += _mounted(get("imageMount"), get("config"), get("subPath"), host_path)
    if host_path:
        found += host_paths.hidden(host_path, first_word(command), first_word(args), get("workingDir"))
    found += resources.flaws(record, policy.cards, policy.rounded)
    if command or args:
        found += shell.flaws(command, args)
    if text := get("env"):
        found += environment.flaws(text)
    if facts := get(ARTIFACT):
        found += artifacts.flaws(facts, record, policy.platform)
    return found


@remembered
def _mounted(
    image_mount: str | None, config: str | None, sub_path: str | None, host_path: str | None
) -> tuple[Flaw, ...]:
    return (*mounts.flaws(image_mount, config, sub_path, host_path), *host_paths.flaws(host_path, sub_path))
