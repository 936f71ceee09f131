"""`getResolvedOptions`, with the rules of the `awsglue.utils` page of the AWS Glue developer guide."""

import argparse
from collections.abc import Sequence

_BOOKMARK = ("job_bookmark_option", "job_bookmark_from", "job_bookmark_to")
_BOOKMARK_CHOICES = ("job-bookmark-enable", "job-bookmark-pause", "job-bookmark-disable")
# What Glue itself passes to a script; present in the answer whether asked for or not.
_INTERNAL = (
    "JOB_ID",
    "JOB_RUN_ID",
    "SECURITY_CONFIGURATION",
    "encryption_type",
    "enable_data_lineage",
    "RedshiftTempDir",
    "TempDir",
)


class GlueArgumentError(Exception):
    """A job argument is missing or malformed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise GlueArgumentError(message)


def getResolvedOptions(args: Sequence[str], options: Sequence[str]) -> dict[str, str | None]:
    """The values of the named job arguments, and Glue's own.

    `args`: `sys.argv`. `options`: names without the leading `--`, each required; other arguments are ignored.
    A name with `-` comes back with `_`. Raises GlueArgumentError when one is missing, and RuntimeError when a
    name is reserved for job bookmarks.
    """
    parser = _Parser(allow_abbrev=False, add_help=False)
    for name in _BOOKMARK:
        flag = "--" + name.replace("_", "-")
        if name == "job_bookmark_option":
            parser.add_argument(flag, choices=_BOOKMARK_CHOICES, default="job-bookmark-disable")
        else:
            parser.add_argument(flag)
    for name in _INTERNAL:
        if name not in options:
            parser.add_argument("--" + name)
    for name in options:
        if name.replace("-", "_") in _BOOKMARK:
            raise RuntimeError(f"Using reserved arguments {name}")
        parser.add_argument("--" + name, required=True)
    parsed, _ = parser.parse_known_args(list(args[1:]))
    values = vars(parsed)
    if values.get("TempDir") is not None:
        values["RedshiftTempDir"] = values["TempDir"]
    elif values.get("RedshiftTempDir") is not None:
        values["TempDir"] = values["RedshiftTempDir"]
    return values
