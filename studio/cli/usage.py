"""What is wrong with a command's words (an unknown option, a missing argument, a bad value), as the studio's errors.

Typer says it in English only, and on standard error. Its exceptions are those of the click that it brings along, which
it does not publish by name; so they are told apart by what they carry.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from typer import BadParameter

from pipelines.errors import BadInput
from studio.domain.values import invalid_field

__all__ = ["USAGE_STATUS", "UsageError", "explain_usage"]

UsageError: Any = BadParameter.__mro__[1]  # the class that a command's wrong words are raised as
USAGE_STATUS = 2
_QUOTED = re.compile(r"""['"]([^'"]*)['"]""")


def explain_usage(error: Any) -> BadInput:
    """Return the studio's error for one of typer's usage errors."""
    command = error.ctx.command_path if error.ctx else "persona-studio"
    if isinstance(error, BadParameter):
        return _explain_value(error, command)
    option, said = getattr(error, "option_name", None), str(error.message)
    quoted = _QUOTED.search(said)
    if option is not None and hasattr(error, "possibilities"):
        near = sorted(error.possibilities or ())
        if near:
            return BadInput("option_unknown_alike", option=str(option), near=near, command=command)
        return BadInput("option_unknown", option=str(option), command=command)
    if option is not None:
        if "does not take" in said:
            return BadInput("option_takes_no_value", option=str(option), command=command)
        return BadInput("option_value_missing", option=str(option), command=command)
    if said.startswith("No such command") and quoted:
        return BadInput("command_unknown", name=quoted[1], known=_commands(error), command=command)
    if said.startswith("Missing command"):
        return BadInput("command_missing", known=_commands(error), command=command)
    if said.startswith("Got unexpected extra"):
        return BadInput(
            "argument_too_many", words=said.partition("(")[2].partition("(")[2].rstrip(")"), command=command
        )
    return BadInput("usage_wrong", why=said, command=command)


def _explain_value(error: Any, command: str) -> BadInput:
    name = _name(error.param) if error.param is not None else str(error.param_hint or "")
    if not error.message and not isinstance(error.__cause__, ValidationError):
        return BadInput("argument_missing", name=name, command=command)
    if isinstance(error.__cause__, ValidationError):
        first = error.__cause__.errors(include_url=False)[0]
        return invalid_field({**first, "loc": [name]})
    return BadInput("option_value_invalid", name=name, why=str(error.message), command=command)


def _name(param: Any) -> str:
    """Return how a person writes it: --seed, or CATEGORY for what stands without a name."""
    return str(param.opts[0]) if param.param_type_name == "option" else str(param.name).upper()


def _commands(error: Any) -> list[str]:
    return sorted(getattr(error.ctx.command, "commands", ())) if error.ctx else []
