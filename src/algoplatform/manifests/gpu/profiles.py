"""The rows of GPU profiles: those that we ship, and those of a site.

A row is a JSON object. `count`, `memory` and `core` are names of resources, such as `nvidia.com/gpu`, for which a
container gets a limit:

    name            the name of the profile, a value of the option `profile`
    count           its limit is 1: one share of one card
    memory          its limit is gpuRequests, in units of `unitMiB`, written as `quantity`: int, or Mi (`2048Mi`)
    core, coreRule  its limit is the option `cores`: `percent` (1 to 100), or `percent-or-hundreds` (1 to 99, or a
                    multiple of 100; without the option, the same share of the cores as of the memory of a card)
    sharesPerCard   shares that a card is divided into; without `memory`, each is an equal part of the card
    slices          MIG: resource -> MiB; the smallest that holds gpuRequests gets the limit 1
    roundTo         MiB: gpuRequests is rounded up to one of these sizes
    cardsUpTo       gpuRequests up to this value is a number of whole cards: the limit of `wholeCards` or else `count`
    schedulerName, runtimeClass   of pods with a GPU, unless an option names others
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from algoplatform.domain.errors import BadRequest, clip
from algoplatform.domain.record.json import parse_json

_PREFIX = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME = r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?"
_RESOURCE = re.compile(rf"{_PREFIX}/{_NAME}")

Resource = Annotated[str, Field(max_length=300, pattern=f"^{_RESOURCE.pattern}$")]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Name = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]


class Profile(BaseModel):
    """One row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    count: Resource | None = None
    memory: Resource | None = None
    unit_mib: Positive = Field(1, alias="unitMiB")
    quantity: Literal["int", "Mi"] = "int"
    core: Resource | None = None
    core_rule: Literal["percent", "percent-or-hundreds"] = Field("percent", alias="coreRule")
    shares_per_card: Positive | None = Field(None, alias="sharesPerCard")
    slices: dict[Resource, Positive] = {}
    round_to: tuple[Positive, ...] = Field((), alias="roundTo")
    cards_up_to: Positive | None = Field(None, alias="cardsUpTo")
    whole_cards: Resource | None = Field(None, alias="wholeCards")
    scheduler_name: Name | None = Field(None, alias="schedulerName")
    runtime_class: Name | None = Field(None, alias="runtimeClass")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.cards_up_to and not (self.whole_cards or self.count):
            raise ValueError("cardsUpTo requires wholeCards or count")
        if self.slices and (self.count or self.memory):
            raise ValueError("slices exclude count and memory")
        if self.core and not self.memory:
            raise ValueError("core requires memory")
        return self

    @property
    def is_none(self) -> bool:
        """Whether pods get no GPU at all."""
        return not (self.count or self.memory or self.slices)


class ProfilesInvalid(ValueError):
    """A file of profiles is invalid: one line for each fault, in English, as for a setting."""


def parse_profiles(data: bytes) -> dict[str, Profile]:
    """Read a JSON list of rows; raises ProfilesInvalid with every fault."""
    try:
        rows = parse_json(data)
    except BadRequest as error:
        raise ProfilesInvalid(f"is not JSON: {error.message}") from None
    if not isinstance(rows, list):
        raise ProfilesInvalid("must be a JSON list of rows")
    found: dict[str, Profile] = {}
    faults: list[str] = []
    for position, row in enumerate(rows, 1):
        try:
            profile = Profile.model_validate(row)
        except ValidationError as error:
            faults += [f"row {position}: {fault}" for fault in _faults(error)]
            continue
        if profile.name in found:
            faults.append(f"row {position}: name: {profile.name} is there twice")
        found[profile.name] = profile
    if faults:
        raise ProfilesInvalid("\n".join(faults))
    return found


def _faults(error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False, include_input=False):
        place = ".".join(clip(str(part)) for part in found["loc"])
        yield f"{place}: {found['msg']}" if place else found["msg"]


def with_site(data: bytes | None) -> Mapping[str, Profile]:
    """Return the shipped profiles with a site's rows; a row of the same name replaces the shipped one."""
    return MappingProxyType({**SHIPPED, **parse_profiles(data)}) if data is not None else SHIPPED


SHIPPED: Final[Mapping[str, Profile]] = MappingProxyType(
    parse_profiles(files("algoplatform.manifests.gpu").joinpath("profiles.json").read_bytes())
)
