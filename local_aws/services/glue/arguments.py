"""Job arguments: which reach the script, which configure the run, which cannot be honoured here."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.services.glue.errors import InvalidInput
from local_aws.services.glue.records import Job, JobRun

# Read by Glue itself and not passed on.
_CONSUMED = frozenset(
    {
        "--job-language",
        "--scriptLocation",
        "--extra-py-files",
        "--extra-jars",
        "--extra-files",
        "--additional-python-modules",
        "--python-modules-installer-option",
        "--conf",
        "--user-jars-first",
        "--enable-metrics",
        "--enable-observability-metrics",
        "--enable-continuous-cloudwatch-log",
        "--enable-continuous-log-filter",
        "--continuous-log-logGroup",
        "--continuous-log-logStreamPrefix",
        "--continuous-log-conversionPattern",
        "--enable-spark-ui",
        "--spark-event-logs-path",
        "--enable-job-insights",
        "--enable-auto-scaling",
        "--enable-s3-parquet-optimized-committer",
        "--enable-rename-algorithm-v2",
        "--executor-cores",
        "--write-shuffle-files-to-s3",
    }
)
_REFUSED = {
    "--enable-glue-datacatalog": "Spark SQL over catalog tables is not computed by local AWS",
    "--datalake-formats": "Iceberg, Hudi and Delta are not computed by local AWS",
    "--class": "Scala jobs are not computed by local AWS",
}


@dataclass(frozen=True)
class Plan:
    """What a run needs before its script starts; S3 objects as (bucket, key)."""

    script: tuple[str, str]
    script_arguments: list[str]
    py_files: list[tuple[str, str]]
    jars: list[tuple[str, str]]
    files: list[tuple[str, str]]
    modules: list[str]
    installer_options: list[str]
    spark_conf: str


def effective(definition: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """DefaultArguments, overlaid by the run's, overlaid by NonOverridableArguments."""
    return {
        **(definition.get("DefaultArguments") or {}),
        **given,
        **(definition.get("NonOverridableArguments") or {}),
    }


def parse(job: Job, run: JobRun) -> Plan:
    """The plan of a run. Raises InvalidInput naming the argument that is malformed or not computed here."""
    values = run.effective
    for name, reason in _REFUSED.items():
        if name in values:
            raise InvalidInput(f"{name}: {reason}")
    if values.get("--job-language", "python") != "python":
        raise InvalidInput(f"--job-language {values['--job-language']}: only python is computed by local AWS")
    if values.get("--job-bookmark-option", "job-bookmark-disable") != "job-bookmark-disable":
        raise InvalidInput("--job-bookmark-option: job bookmarks are not computed by local AWS")
    implicit = {"--JOB_ID": job.job_id, "--JOB_RUN_ID": run.job_run_id}
    if run.kind == "glueetl":
        implicit = {"--JOB_NAME": job.name, **implicit}
    passed = {**implicit, **{key: value for key, value in values.items() if key not in _CONSUMED}}
    return Plan(
        script=s3_path(
            "--scriptLocation", values.get("--scriptLocation") or job.definition["Command"]["ScriptLocation"]
        ),
        script_arguments=[word for key, value in passed.items() for word in (key, str(value))],
        py_files=_s3_paths("--extra-py-files", values),
        jars=_s3_paths("--extra-jars", values),
        files=_s3_paths("--extra-files", values),
        modules=[
            part.strip() for part in values.get("--additional-python-modules", "").split(",") if part.strip()
        ],
        installer_options=shlex.split(values.get("--python-modules-installer-option", "")),
        spark_conf=values.get("--conf", ""),
    )


def s3_path(name: str, value: str) -> tuple[str, str]:
    """`s3://bucket/key` as (bucket, key). Raises InvalidInput naming the argument."""
    scheme, separator, rest = value.strip().partition("://")
    bucket, slash, key = rest.partition("/")
    if (
        scheme not in ("s3", "s3a")
        or not separator
        or not bucket
        or not slash
        or not key
        or key.endswith("/")
    ):
        raise InvalidInput(f"{name}: {value!r} is not the s3:// path of an object")
    return bucket, key


def _s3_paths(name: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    return [s3_path(name, part) for part in values.get(name, "").split(",") if part.strip()]
