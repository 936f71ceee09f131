"""What is uploaded for Airflow: DAGs, plugins.zip, requirements.txt; checked against MWAA's limits before.

plugins.zip holds `plugins/`, `config/` and the version of the jobs' code: same commit, same bytes. The limits
are those of MWAA's published image and API (9 minutes for requirements, 64 characters of a REST path).
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import CODE_VERSION_FILE
from workbench import packaging
from workbench.programs import code_version
from workbench.settings import WorkbenchError

PREFIX = "airflow"
DAGS = f"{PREFIX}/dags"
PLUGINS = f"{PREFIX}/plugins.zip"
REQUIREMENTS = f"{PREFIX}/requirements.txt"

REST_PATH = 64  # characters of InvokeRestApi's Path
LONGEST_CALL = "/dags/{}/dagRuns"
PLUGINS_BYTES = 50 << 20  # far below MWAA's own bound: nothing of ours is large
CLASS_DAGS = {"mw1.micro": 25, "mw1.small": 50, "mw1.medium": 250, "mw1.large": 1000}
# A worker of the small class has 2 GB: what computes runs in jobs, which have environments of their own.
TOO_HEAVY = re.compile(
    r"^(pandas|numpy|pyarrow|xgboost\S*|scikit-learn|sagemaker\S*|awswrangler|torch|tensorflow|shap|pyspark)\b",
    re.I,
)


@dataclass(frozen=True)
class Release:
    """dags: bytes by name below dags/. code_version: of the jobs' code that these DAGs start."""

    dags: Mapping[str, bytes]
    plugins: bytes
    requirements: bytes
    code_version: str

    @property
    def dag_ids(self) -> dict[str, str]:
        """File by the id of its DAG: one file a DAG, named like it."""
        return {Path(name).stem: name for name in self.dags if re.fullmatch(r"[^/]+\.py", name)}


def build(root: Path) -> Release:
    """Read a checkout; the same files give the same bytes."""
    dags = {name: path.read_bytes() for name, path in packaging.tree(root / "dags", root / "dags").items()}
    for ignore in (root / "dags").glob(".airflowignore"):
        dags[ignore.name] = ignore.read_bytes()
    version = code_version(root)
    return Release(dags, _plugins(root, version), (root / "requirements.txt").read_bytes(), version)


def _plugins(root: Path, version: str) -> bytes:
    files = packaging.tree(root / "plugins", root / "plugins") | packaging.tree(root / "config", root)
    with tempfile.TemporaryDirectory() as folder:
        stamp, ignore = Path(folder) / "version", Path(folder) / "ignore"
        stamp.write_text(version + "\n")
        ignore.write_text((root / "plugins" / ".airflowignore").read_text() + "config/\n")
        files[f"config/{CODE_VERSION_FILE}"] = stamp
        files[".airflowignore"] = ignore
        return packaging.archive(files)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check(release: Release, airflow_class: str) -> None:
    """Raises WorkbenchError with everything that MWAA would refuse or choke on."""
    problems = list(_problems(release, airflow_class))
    if problems:
        raise WorkbenchError(
            "MWAA would not take this release:\n" + "\n".join(f"- {one}" for one in problems)
        )


def _problems(release: Release, airflow_class: str) -> Iterator[str]:
    for dag_id, name in release.dag_ids.items():
        path = LONGEST_CALL.format(dag_id)
        if len(path) > REST_PATH:
            most = REST_PATH - len(LONGEST_CALL.format(""))
            yield (
                f"dags/{name}: InvokeRestApi takes paths of {REST_PATH} characters; {path} has {len(path)}. "
                f"Give the DAG an id of at most {most}"
            )
    if len(release.dag_ids) > CLASS_DAGS[airflow_class]:
        yield f"{len(release.dag_ids)} DAGs; {airflow_class} is made for {CLASS_DAGS[airflow_class]}"
    if len(release.plugins) > PLUGINS_BYTES:
        yield f"plugins.zip has {len(release.plugins):,} bytes, more than {PLUGINS_BYTES:,}"
    with zipfile.ZipFile(io.BytesIO(release.plugins)) as packed:
        for name in packed.namelist():
            if name == "startup.sh":
                yield "plugins/startup.sh would not run from plugins.zip: MWAA takes it as a file of its own"
    for number, line in enumerate(release.requirements.decode().splitlines(), start=1):
        where = f"requirements.txt:{number}"
        # The image's own expression: it reads comments too.
        if re.search(r"(^|\s)(-c|--constraint)\b", line):
            yield f"{where}: a constraint line, even in a comment, switches off the image's own constraints"
        if TOO_HEAVY.match(line):
            yield f"{where}: {line.split()[0]} belongs in a job: a worker has 2 GB for all its tasks"
        if re.match(r"^(apache-airflow\s*[=<>~!]|--index-url|--extra-index-url|-e\b|git\+)", line):
            yield f"{where}: {line.split()[0]} is MWAA's to decide, or not reachable from its network"
