"""What a site decides about rendering and lint: defaults of options, GPU profiles, the policy for the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from algoplatform.domain.errors import Refused
from algoplatform.manifests.gpu.amounts import DoesNotFit, amounts
from algoplatform.manifests.gpu.profiles import SHIPPED, Profile, ProfilesInvalid, with_site
from algoplatform.manifests.options import BY_NAME, OPTIONS, Options, parse_options
from algoplatform.planning.lint.policy import Policy


@dataclass(frozen=True, slots=True)
class Site:
    """The options that a request leaves out, the profiles by name, and the severities and exemptions of rules."""

    defaults: Options = field(default_factory=Options)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: SHIPPED)
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def parse(cls, render: Mapping[str, str], profiles_file: bytes | None, policy: Policy) -> Self:
        """Parse settings; `render` holds options by attribute. Raises ValueError, whose message names the setting."""
        try:
            profiles = with_site(profiles_file)
        except ProfilesInvalid as error:
            raise ValueError(f"ALGOPLATFORM_GPU_PROFILES_FILE: {'; '.join(str(error).splitlines())}") from None
        by_attribute = {option.attribute: option.name for option in OPTIONS if option.name != "cards"}
        for attribute in render:
            if attribute not in by_attribute:
                raise ValueError(f"ALGOPLATFORM_RENDER_{attribute.upper()}: is not an option of rendering")
        given = {by_attribute[attribute]: text for attribute, text in render.items()}
        try:
            defaults = parse_options(given, profiles, Options(cards=tuple(policy.cards)))
        except Refused as refused:
            first = refused.faults[0]
            raise ValueError(f"{BY_NAME[first.field].setting}: {first.message}") from None
        return cls(defaults, profiles, policy)

    def options(self, given: Mapping[str, object]) -> Options:
        """Read options of a request over the defaults; raises Refused (202) with every fault."""
        return parse_options(given, self.profiles, self.defaults)

    def policy_for(self, options: Options) -> Policy:
        """Return the policy of the rules for these cards and this GPU profile."""
        return self.policy.asked(options.cards, _rounded(self.profiles[options.profile], options))


def _rounded(profile: Profile, options: Options) -> Callable[[int], int]:
    def reserved(mib: int) -> int:
        try:
            return amounts(mib, profile, options.cards, options.cores).reserved or mib
        except DoesNotFit:
            return mib

    return reserved


def describe_options(render: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Return variable, value, default and purpose of each option of rendering, as `settings.describe` does."""
    rows = []
    for option in OPTIONS:
        if option.name != "cards":
            default = _shown(option.default)
            rows.append((option.setting, render.get(option.attribute, default), default, option.description))
    return rows


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or value == () else str(getattr(value, "kind", value))
