"""Which command stands for which container image.

The services hand over an image URI and what it is wanted for; `resolve` answers with the command that does
the same work here. Images are recognised by their *repository name* (`sagemaker-xgboost`), never by the
account that owns the registry, because that account differs in every region. An image of your own is a row
of a TOML file (see `read_own`).

This module is imported by the API server, which has no ML library: standard library only.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

Kind = Literal["training", "processing", "transform", "serving"]

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CONTAINER_BASE = "/opt/ml"

# Variables by which the serving containers are told to load user code (CONTRACTS: "script mode").
USER_CODE_VARIABLES = ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY")
WORKERS_VARIABLE = "SAGEMAKER_MODEL_SERVER_WORKERS"
SCRIPT_TRAINING = "local_aws.images.script_mode"
SCRIPT_SERVING = "local_aws.images.inference.serve"
MONITORING = "sagemaker_scripts.monitoring"


class UnknownImage(ValueError):
    """The image, its version, or what is asked of it cannot be honoured here. The message says which."""


@dataclass(frozen=True)
class Image:
    """One row of the table.

    versions: tags that the installed library really is; empty = any tag (only Python and libraries are used).
    modules: kind -> module run with the jobs interpreter; a kind that is absent is refused by name.
    scripts: module that serves with user code. package: what it cannot do without, and may not be installed.
    in_process: name of the model format the data plane hosts itself, without user code.
    commands: kind -> command line, of an image of your own; environment: what it adds.
    """

    repository: str
    library: str
    versions: tuple[str, ...] = ()
    modules: Mapping[Kind, str] = field(default_factory=dict)
    scripts: str | None = None
    package: str | None = None
    in_process: str | None = None
    commands: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


IMAGES: dict[str, Image] = {
    image.repository: image
    for image in (
        Image(
            repository="sagemaker-xgboost",
            library="XGBoost 3.2.0",
            versions=("3.2-0",),
            modules={
                "training": "local_aws.images.xgboost.train",
                "serving": "local_aws.images.xgboost.serve",
                "transform": "local_aws.images.xgboost.serve",
            },
            scripts=SCRIPT_SERVING,
            in_process="xgboost",
        ),
        Image(
            repository="sagemaker-scikit-learn",
            library="scikit-learn 1.8.0",
            modules={"training": SCRIPT_TRAINING, "serving": SCRIPT_SERVING, "transform": SCRIPT_SERVING},
            scripts=SCRIPT_SERVING,
        ),
        Image(
            repository="pytorch-training",
            library="PyTorch",
            package="torch",
            modules={"training": SCRIPT_TRAINING},
        ),
        Image(
            repository="pytorch-inference",
            library="PyTorch",
            package="torch",
            modules={"serving": SCRIPT_SERVING, "transform": SCRIPT_SERVING},
            scripts=SCRIPT_SERVING,
        ),
        # The images of Model Monitor and Clarify cannot be pulled, and the service is closed to new accounts:
        # the project's own analysers do their work, under their contracts.
        *(
            Image(
                repository=repository,
                library="the analysers of sagemaker_scripts/monitoring",
                commands={"processing": ("python3", "-m", MONITORING, job)},
                environment={"PYTHONPATH": str(PROJECT_ROOT)},
            )
            for repository, job in (
                ("sagemaker-model-monitor-analyzer", "analyzer"),
                ("sagemaker-model-monitor-groundtruth-merger", "merger"),
                ("sagemaker-clarify-processing", "clarify"),
            )
        ),
    )
}

# Repositories that exist on AWS, are asked for by mistake, and deserve a better answer than "unknown".
REFUSED: Mapping[str, str] = {
    "xgboost": (
        "this is the legacy image (tags `1` and `latest`): XGBoost 0.72 of 2018, whatever is newest. "
        "Ask for version 3.2-0, repository sagemaker-xgboost"
    ),
}


@dataclass(frozen=True)
class Command:
    """How to run an image here.

    argv and env: for the process supervisor. `env` holds only what the image adds to the job's own variables.
    in_process: set for kind "serving" when the data plane hosts the model itself (argv then is the fallback).
    workers: how many of these processes serve the model, for kind "serving".
    """

    argv: list[str]
    env: dict[str, str]
    in_process: str | None = None
    workers: int = 1


def split_uri(image_uri: str) -> tuple[str, str]:
    """`<registry>/<repository>:<tag>` or `<repository>:<tag>` -> (repository, tag); no tag is `latest`."""
    name = image_uri.rsplit("/", 1)[-1].split("@", 1)[0]
    repository, _, tag = name.partition(":")
    return repository, tag or "latest"


def find(image_uri: str) -> Image:
    """The table's row for an image URI.

    Raises UnknownImage with the URI, the reason and what is known instead.
    """
    repository, tag = split_uri(image_uri)
    if repository in REFUSED:
        raise UnknownImage(f"Image {image_uri} is refused: {REFUSED[repository]}.")
    image = IMAGES.get(repository)
    if image is None:
        raise UnknownImage(
            f"Image {image_uri} is not known to local AWS: no entry for the repository '{repository}'. "
            f"Known repositories: {', '.join(sorted(IMAGES))}."
        )
    if not image.versions or _version(tag) in image.versions:
        return image
    if tag in ("latest", "1"):
        raise UnknownImage(
            f"Image {image_uri} is refused: the tag `{tag}` means XGBoost 0.72 of 2018, not the newest "
            f"release. Ask for {', '.join(image.versions)}."
        )
    raise UnknownImage(
        f"Image {image_uri} cannot run here: local AWS has {image.library}, which is version "
        f"{', '.join(image.versions)} of {repository}. Another version would give other results."
    )


def resolve(
    image_uri: str,
    kind: Kind,
    *,
    python: str | Path = "python3",
    base_dir: str | Path = CONTAINER_BASE,
    entrypoint: Iterable[str] | None = None,
    arguments: Iterable[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Command:
    """The command that does here what `docker run <image_uri>` does on AWS.

    python: the jobs interpreter. base_dir: the folder that plays /opt/ml for this job.
    entrypoint, arguments: as in the request; a given entrypoint replaces the image's own, as in Docker.
    environment: the request's environment; values under /opt/ml are moved to base_dir.

    Raises UnknownImage when the image, its version or the kind of work is not available here.
    """
    image = find(image_uri)
    entrypoint, arguments = list(entrypoint or ()), list(arguments or ())
    environment = {**image.environment, **(environment or {})}
    env = {key: rebase(value, base_dir) for key, value in environment.items()}
    env["SAGEMAKER_BASE_DIR"] = str(base_dir)
    command = entrypoint or list(image.commands.get(kind, ()))
    words = [rebase(word, base_dir) for word in command + arguments]
    if command:
        return Command(argv=_with_interpreter(words, python), env=env)
    module = image.modules.get(kind)
    if module is None:
        what = "needs a ContainerEntrypoint" if kind == "processing" else f"has no {kind} in local AWS"
        has = ", ".join([*image.modules, *image.commands]) or "nothing built in"
        raise UnknownImage(f"Image {image_uri} {what}. It has: {has}.")
    _require_package(image_uri, image, python)
    env["PYTHONPATH"] = str(PROJECT_ROOT)
    if image.scripts and (module == image.scripts or (kind != "training" and has_user_code(environment))):
        argv = [str(python), "-m", image.scripts, image.repository]
        return Command(argv=argv, env=env, workers=_workers(environment) if kind == "serving" else 1)
    hosted = image.in_process if kind == "serving" else None
    return Command(argv=[str(python), "-m", module, *words], env=env, in_process=hosted)


def read_own(path: Path) -> dict[str, Image]:
    """Images of your own, a TOML table for each repository name:

        [my-image]
        training = ["python3", "train.py"]
        serving = ["python3", "serve.py"]      # also for batch transform, unless `transform` is given
        environment = { LEVEL = "1" }

    A word that names a file beside the TOML file stands for that file; `python3` is the jobs interpreter.
    Raises UnknownImage naming the file and what is wrong in it.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UnknownImage(f"The images of {path} cannot be read: {error}") from error
    return {name: _own(path, name, row) for name, row in table.items()}


def add_own(path: Path) -> tuple[str, ...]:
    """Know the images of a TOML file from now on; returns their names. Raises UnknownImage as `read_own`."""
    own = read_own(path)
    IMAGES.update(own)
    return tuple(own)


def _own(path: Path, name: str, row: object) -> Image:
    kinds: tuple[Kind, ...] = ("training", "processing", "serving", "transform")
    if not isinstance(row, dict) or set(row) - {*kinds, "environment"}:
        raise UnknownImage(f"{path}: [{name}] may hold {', '.join(kinds)} and environment, nothing else.")
    commands: dict[Kind, tuple[str, ...]] = {}
    for kind in kinds:
        words = row.get(kind, row.get("serving") if kind == "transform" else None)
        if words is None:
            continue
        if not words or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UnknownImage(f"{path}: [{name}] {kind} is not a list of words, the command to run.")
        beside = [path.parent.resolve() / word for word in words]
        commands[kind] = tuple(
            str(file) if file.is_file() else word for file, word in zip(beside, words, strict=True)
        )
    environment = {str(key): str(value) for key, value in row.get("environment", {}).items()}
    return Image(repository=name, library=f"what {path} says", commands=commands, environment=environment)


def _require_package(image_uri: str, image: Image, python: str | Path) -> None:
    """Looks for the package's folder: importing it would take seconds, and this is no jobs interpreter."""
    if image.package is None:
        return
    libraries = Path(python).parent.parent.glob(f"lib/python3*/site-packages/{image.package}")
    if next(libraries, None) is None:
        raise UnknownImage(
            f"Image {image_uri} cannot run here: the package {image.package} is not installed in the "
            "environment that jobs run in. Add it to environments/jobs.in, then `make lock environments`."
        )


def _workers(environment: Mapping[str, str]) -> int:
    """One worker unless more are asked for: AWS's images take one for each processor of their instance."""
    given = environment.get(WORKERS_VARIABLE, "1")
    if not given.isdecimal() or not 1 <= int(given) <= 64:
        raise UnknownImage(f"{WORKERS_VARIABLE} is '{given}'; it must be a number from 1 to 64.")
    return int(given)


def has_user_code(environment: Mapping[str, str]) -> bool:
    """Whether a model's environment asks the serving container for user code."""
    return any(environment.get(name) for name in USER_CODE_VARIABLES)


def rebase(value: str, base_dir: str | Path) -> str:
    """`/opt/ml/x` -> `<base_dir>/x`, also behind `--name=`; any other text is returned as it is."""
    head, sign, path = value.partition("=") if value.startswith("-") else ("", "", value)
    if path == CONTAINER_BASE or path.startswith(CONTAINER_BASE + "/"):
        return f"{head}{sign}{base_dir}{path.removeprefix(CONTAINER_BASE)}"
    return value


def _version(tag: str) -> str:
    """The SDK writes `3.2-0` and `3.2-0-cpu-py3` for the same image."""
    return "-".join(tag.split("-")[:2])


def _with_interpreter(words: list[str], python: str | Path) -> list[str]:
    if PurePosixPath(words[0]).name in ("python", "python3"):
        return [str(python), *words[1:]]
    return words
