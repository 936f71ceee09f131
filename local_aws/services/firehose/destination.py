"""The S3 destination of a stream: defaults as AWS fills them in, and a refusal of what is not done here."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moto.firehose.exceptions import InvalidArgumentException, ValidationException

from local_aws.services.firehose import prefixes

Config = dict[str, Any]

DEFAULTS: Config = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
    "CloudWatchLoggingOptions": {"Enabled": False},
}
SIZES = range(1, 129)  # MiB
INTERVALS = range(901)  # seconds


def complete(config: Config) -> Config:
    """A destination with its defaults, checked.

    Raises InvalidArgumentException or ValidationException, naming the field.
    """
    config = {**DEFAULTS, **{key: value for key, value in config.items() if value is not None}}
    config["BufferingHints"] = {**DEFAULTS["BufferingHints"], **(config["BufferingHints"] or {})}
    _check_hints(config["BufferingHints"])
    for name in ("BucketARN", "RoleARN"):
        if not str(config.get(name, "")).startswith("arn:"):
            raise ValidationException(f"{name} must be an ARN, not {config.get(name)}")
    if config["CompressionFormat"] not in ("UNCOMPRESSED", "GZIP"):
        raise _refused(f"CompressionFormat {config['CompressionFormat']}; UNCOMPRESSED and GZIP are computed")
    for feature in ("ProcessingConfiguration", "DataFormatConversionConfiguration"):
        if (config.get(feature) or {}).get("Enabled"):
            raise _refused(feature + _processors(config[feature]))
    if (config.get("DynamicPartitioningConfiguration") or {}).get("Enabled"):
        raise _refused("DynamicPartitioningConfiguration (inline JQ or Lambda partition keys)")
    if config.get("S3BackupMode") == "Enabled":
        raise _refused("S3BackupMode Enabled")
    zone = config.get("CustomTimeZone") or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidArgumentException(f"CustomTimeZone {zone} is not known") from error
    extension = config.get("FileExtension") or ""
    if not re.fullmatch(r"(\.[0-9a-z!\-_.*'()]+)?", extension):
        raise ValidationException(f"FileExtension {extension} must begin with a dot")
    prefixes.check(config.get("Prefix") or "", config.get("ErrorOutputPrefix"))
    return config


def bucket(config: Config) -> str:
    return str(config["BucketARN"]).rpartition(":")[2]


def key(stream: str, version: str, config: Config, opened: Any) -> str:
    """Key of the object that holds what arrived since `opened` (a datetime)."""
    suffix = config.get("FileExtension") or (".gz" if config["CompressionFormat"] == "GZIP" else "")
    zone = config.get("CustomTimeZone") or "UTC"
    return prefixes.object_key(stream, version, config.get("Prefix") or "", opened, suffix, zone)


def _check_hints(hints: Config) -> None:
    for name, allowed in (("SizeInMBs", SIZES), ("IntervalInSeconds", INTERVALS)):
        value = hints[name] = int(hints[name])
        if value not in allowed:
            raise ValidationException(
                f"Value '{value}' at 'bufferingHints.{name}' failed to satisfy constraint: "
                f"Member must be between {allowed[0]} and {allowed[-1]}"
            )


def _processors(config: Config) -> str:
    kinds = [processor.get("Type", "?") for processor in config.get("Processors", [])]
    return f" (processors: {', '.join(kinds)})" if kinds else ""


def _refused(what: str) -> InvalidArgumentException:
    return InvalidArgumentException(f"local AWS does not support {what}")
