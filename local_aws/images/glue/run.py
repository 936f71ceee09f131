"""`python -m local_aws.images.glue.run RUN.json`: runs the script of one Glue job run.

RUN.json: `{"kind": "glueetl" | "pythonshell", "script": path, "arguments": [...],
"site": directory of the run's own packages, "archives": [zip files of packages], "work": scratch directory,
"jars": [paths], "modules": [pip requirements], "installer_options": [...],
"spark_conf": the argument `--conf`, "memory_mb": int, "cores": int,
"input_bytes": size of the objects that the arguments name}`.
Exit code 0 when the script ends by itself or with `sys.exit(0)`, else 1 with the exception as the last line.
"""

import importlib.util
import json
import logging
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from local_aws.images.installing import install_missing

# Bytes of input from which a run lasts long enough to compile its code well.
_LARGE = 16 * 2**20
_PROJECT = str(Path(__file__).parents[3])


def main(run_file: str) -> int:
    """Run the script that `run_file` describes; returns the process's exit code."""
    run = json.loads(Path(run_file).read_text(encoding="utf-8"))
    work = Path(run["work"])
    _own_packages(run["site"], run["archives"])
    spark = None
    try:
        _install(run["modules"], run["installer_options"], run["site"])
        if run["kind"] == "glueetl":
            spark = _start_spark(run, work)
        report = _run_script(run["script"], run["arguments"])
    except Exception as error:  # noqa: BLE001 - whatever stops a run is reported as its error message
        report = _report(error, run["script"])
    finally:
        if spark:
            _stop_spark(spark, orderly=(work / "classes.lst").exists())
    if report:
        print(
            report, file=sys.stderr
        )  # after Spark has said its last word: the last line is the run's ErrorMessage
    return 1 if report else 0


def _own_packages(site: str, archives: list[str]) -> None:
    """Let the script see its own packages (from `--extra-py-files`) and not this project's."""
    sys.path[:] = [site, *archives, *(entry for entry in sys.path if entry not in ("", _PROJECT))]
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *archives])


def _install(modules: list[str], options: list[str], site: str) -> None:
    """Make `--additional-python-modules` importable: the environment's, else installed into `site`.

    Raises RuntimeError naming what cannot be had.
    """
    try:
        install_missing(modules, Path(site), options)
    except RuntimeError as error:
        raise RuntimeError(f"--additional-python-modules: {error}") from error


def _start_spark(run: dict[str, Any], work: Path) -> Any:
    from local_aws.images.glue import jvm, spark_conf

    conf_dir = work / "conf"
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    spark_conf.write(
        conf_dir,
        {
            **spark_conf.defaults(endpoint, region, work, run["cores"]),
            **spark_conf.parse_conf(run["spark_conf"]),
        },
    )
    packages = importlib.util.find_spec("pyspark")
    if packages is None or not packages.submodule_search_locations:
        raise RuntimeError("pyspark is not installed in the jobs environment")
    os.environ.update(
        SPARK_CONF_DIR=str(conf_dir),
        SPARK_HOME=packages.submodule_search_locations[0],
        SPARK_LOCAL_IP="127.0.0.1",
        # Without a name Spark asks the network for this address's, which can take a minute.
        SPARK_LOCAL_HOSTNAME="localhost",
        JAVA_HOME=str(Path(jvm.java()).parents[1]),
        PYSPARK_PYTHON=sys.executable,
        PYSPARK_DRIVER_PYTHON=sys.executable,
    )
    driver = jvm.Driver(
        jvm.command(
            conf_dir,
            work,
            run["memory_mb"],
            run["jars"],
            work / "classes.lst",
            optimise=run["input_bytes"] > _LARGE,
        ),
        os.environ,
        work,
    )
    import pyspark.sql  # noqa: F401 - while Java starts

    try:
        os.environ.update(driver.wait())
    except RuntimeError:
        driver.stop()
        raise
    return driver


def _stop_spark(driver: Any, *, orderly: bool) -> None:
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        try:
            SparkContext._active_spark_context.stop()
        except Exception as error:  # noqa: BLE001 - the script has ended; its outcome is what counts
            print(f"Spark did not stop cleanly: {error}", file=sys.stderr)
    if SparkContext._gateway is not None:
        SparkContext._gateway.shutdown()
    logging.disable()  # py4j logs an error for every Java object that is released after Java has gone
    driver.stop(orderly=orderly)


def _run_script(script: str, arguments: list[str]) -> str:
    """Run the script as `__main__`; returns the report of what ended it other than well."""
    sys.argv[:] = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as leaving:
        return "" if leaving.code in (None, 0) else f"SystemExit: {leaving.code}"
    except BaseException as error:  # noqa: BLE001 - reported as the run's error message
        return _report(error, script)
    finally:
        sys.stdout.flush()
    return ""


def _report(error: BaseException, script: str) -> str:
    """The traceback from the script on, with the error message as the last line."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    last = error_message(error)
    return text if text.splitlines()[-1] == last else f"{text}\n{last}"


def error_message(error: BaseException) -> str:
    """`ValueError: boom`; for an error inside Java, the first line of its root cause as well."""
    lines = str(error).strip().splitlines() or [""]
    message = f"{type(error).__name__}: {lines[0]}".rstrip(": ")
    java = getattr(error, "java_exception", None)
    if java is None:
        return message
    try:
        while java.getCause() is not None:
            java = java.getCause()
        return f"{message.rstrip('.:')}. {str(java.toString()).splitlines()[0]}"
    except Exception:  # noqa: BLE001 - the Java half may be gone; the Python half's message stands
        return message


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
