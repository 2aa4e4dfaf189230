"""Options of commands that the interface names already: their names, values and descriptions come from there."""

import inspect
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import typer
from pydantic.alias_generators import to_camel, to_snake
from typer.core import TyperCommand

from algoplatform.cli.output import fail
from algoplatform.domain.errors import BadRequest, Refused
from algoplatform.domain.search import Conditions
from algoplatform.manifests.options import OPTIONS, Option, parse_options

FailOn = Annotated[
    Literal["warning", "error"] | None,
    typer.Option("--fail-on", help="有这一级别或更严重的问题时，退出码为1"),
]
_FLAGS: Final = frozenset(f"--{option.kebab}" for option in OPTIONS if option.allowed == ("true", "false"))


def fails(fail_on: str | None, asked: Container[str] | None = None) -> list[str]:
    """Return the severities that make the command fail, of those asked for if not all are."""
    failing = {None: (), "error": ("error",)}.get(fail_on, ("error", "warning"))
    return [severity for severity in failing if asked is None or severity in asked]


@dataclass(frozen=True, slots=True)
class Offered:
    """An option like those of rendering: its name in the interface, the form of its value, what it is for."""

    name: str
    form: str
    description: str

    @property
    def attribute(self) -> str:
        """The name of the Python parameter."""
        return to_snake(self.name)


def conditions(purpose: str) -> list[Offered]:
    """Offer the conditions on images, without those that choose a page of them."""
    return [
        Offered(to_camel(name), "文本", f"{purpose}：{field.description}")
        for name, field in Conditions.model_fields.items()
        if name not in ("page", "page_size", "after", "before")
    ]


def offering(*offered: Offered | Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command these options; it receives those that are given as `given`, by their names in the interface."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def called(**arguments: Any) -> None:
            values = {option.name: arguments.pop(option.attribute) for option in offered}
            command(**arguments, given={name: value for name, value in values.items() if value is not None})

        signature = inspect.signature(command, eval_str=True)
        own = [each for name, each in signature.parameters.items() if name != "given"]
        more = [_parameter(option) for option in offered]
        called.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]  # as PEP 362 says
        return called

    return decorate


def _parameter(option: Offered | Option) -> Parameter:
    shown = typer.Option(metavar=option.form, help=option.description)
    return Parameter(option.attribute, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, shown])


class WithFlags(TyperCommand):
    """A command with options of rendering: `--closure` alone means `--closure true`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_spelled(args)))


def _spelled(args: Sequence[str]) -> Iterator[str]:
    for argument, following in pairwise([*args, ""]):
        yield argument
        if argument in _FLAGS and following not in ("true", "false"):
            yield "true"


@contextmanager
def usage() -> Iterator[None]:
    """Report options that cannot be right with the exit code of wrong usage."""
    try:
        yield
    except (Refused, BadRequest) as error:
        fail(str(error))


def check_options(given: Mapping[str, str]) -> None:
    """Check options of rendering as far as that is possible here; the registry knows which profiles there are."""
    parse_options(given, {given.get("profile", "").strip(): None})


def chosen(form: str | None, *, as_json: bool) -> str | None:
    """Return the format asked for; `--json` is short for `--format json`."""
    if as_json and form not in (None, "json"):
        fail("--json与--format不能同时使用")
    return "json" if as_json else form
