"""The Spark configuration of one run: what the Glue service sets, and what a single small machine needs."""

import shlex
from pathlib import Path

_CREDENTIALS = "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"

_LOG4J2 = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1}: %m%n
# Said once a job, about things that are so by design here.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
logger.metrics.name = org.apache.hadoop.metrics2
logger.metrics.level = error
logger.committer.name = org.apache.hadoop.fs.s3a.commit
logger.committer.level = error
logger.plan.name = org.apache.spark.sql.catalyst.util.SparkStringUtils
logger.plan.level = error
logger.memory.name = org.apache.spark.sql.execution.window
logger.memory.level = error
"""


def defaults(endpoint: str, region: str, work_dir: Path, cores: int) -> dict[str, str]:
    """Spark properties of a run; a script may override each of them in its session builder.

    `endpoint`: URL of the S3 service; an empty one means AWS's own.
    """
    properties = {
        "spark.master": f"local[{cores}]",
        "spark.app.name": "glue",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": f"file:{work_dir / 'warehouse'}",
        # One machine: 200 partitions, the default, would be 200 tasks for a handful of rows.
        "spark.sql.shuffle.partitions": str(cores),
        "spark.default.parallelism": str(cores),
        # Glue sets this: no _SUCCESS object beside the data.
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        # A rename on an object store is a copy; this algorithm renames once, not twice.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3n.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        "spark.hadoop.fs.s3a.change.detection.mode": "none",
        "spark.hadoop.fs.s3a.buffer.dir": str(work_dir),
        "spark.hadoop.fs.s3a.attempts.maximum": "3",
        "spark.hadoop.fs.s3a.aws.credentials.provider": _CREDENTIALS,
        "spark.hadoop.fs.s3a.endpoint.region": region,
    }
    if endpoint:
        properties["spark.hadoop.fs.s3a.endpoint"] = endpoint
        properties["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(endpoint.startswith("https")).lower()
    return properties


def parse_conf(value: str) -> dict[str, str]:
    """The job argument `--conf`: `a=1 --conf b=2`, as Glue spells several properties in one argument.

    Raises ValueError naming the part that is not `key=value`.
    """
    properties: dict[str, str] = {}
    for word in shlex.split(value):
        if word == "--conf":
            continue
        key, separator, setting = word.partition("=")
        if not separator:
            raise ValueError(f"--conf: {word!r} is not of the form key=value")
        properties[key] = setting
    return properties


def write(conf_dir: Path, properties: dict[str, str]) -> None:
    """Write the directory that SPARK_CONF_DIR names."""
    conf_dir.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{key} {value}\n" for key, value in properties.items())
    (conf_dir / "spark-defaults.conf").write_text(text, encoding="utf-8")
    (conf_dir / "log4j2.properties").write_text(_LOG4J2, encoding="utf-8")
