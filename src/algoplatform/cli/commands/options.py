"""Options of commands that the API has too: their names, values and descriptions come from there."""

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
    """Return the severities that make the command fail, only those in `asked` unless it is None."""
    failing = {None: (), "error": ("error",)}.get(fail_on, ("error", "warning"))
    return [severity for severity in failing if asked is None or severity in asked]


@dataclass(frozen=True, slots=True)
class Offered:
    """An option like those of rendering: its name in the API, the syntax of its value, and its purpose."""

    name: str
    form: str
    description: str

    @property
    def attribute(self) -> str:
        """The name of the Python parameter."""
        return to_snake(self.name)


def conditions(purpose: str) -> list[Offered]:
    """Return options for the search conditions, except those that choose a page."""
    return [
        Offered(to_camel(name), "文本", f"{purpose}：{field.description}")
        for name, field in Conditions.model_fields.items()
        if name not in ("page", "page_size", "after", "before")
    ]


def offering(*offered: Offered | Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add these options to a command, whose parameter `given` receives those that are set, by their API names."""

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
    """Report invalid options with the exit code for wrong usage."""
    try:
        yield
    except (Refused, BadRequest) as error:
        fail(str(error))


def check_options(given: Mapping[str, str]) -> None:
    """Check options of rendering, except the name of the profile: only the registry knows which profiles exist."""
    parse_options(given, {given.get("profile", "").strip(): None})


def chosen(form: str | None, *, as_json: bool) -> str | None:
    """Return the format asked for; `--json` is short for `--format json`."""
    if as_json and form not in (None, "json"):
        fail("--json与--format不能同时使用")
    return "json" if as_json else form
