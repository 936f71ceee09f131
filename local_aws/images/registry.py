"""Which command stands for which container image.

The services hand over an image URI and what it is wanted for; `resolve` answers with the command that does
the same work here. Images are recognised by their *repository name* (`sagemaker-xgboost`), never by the
account that owns the registry, because that account differs in every region.

This module is imported by the API server, which has no ML library: standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

Kind = Literal["training", "processing", "transform", "serving"]

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CONTAINER_BASE = "/opt/ml"

# Variables by which the serving containers are told to load user code (CONTRACTS: "script mode").
USER_CODE_VARIABLES = ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY")


class UnknownImage(ValueError):
    """The image, its version, or what is asked of it cannot be honoured here. The message says which."""


@dataclass(frozen=True)
class Image:
    """One row of the table.

    versions: tags that the installed library really is; empty = any tag (only Python and libraries are used).
    modules: kind -> module run with the jobs interpreter; a kind that is absent is refused by name.
    in_process: name of the model format the data plane hosts itself, without user code.
    """

    repository: str
    library: str
    versions: tuple[str, ...] = ()
    modules: Mapping[Kind, str] = field(default_factory=dict)
    in_process: str | None = None


IMAGES: Mapping[str, Image] = {
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
            in_process="xgboost",
        ),
        Image(
            repository="sagemaker-scikit-learn",
            library="scikit-learn 1.8.0",
            modules={"training": "local_aws.images.script_mode"},
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
    """

    argv: list[str]
    env: dict[str, str]
    in_process: str | None = None


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
    environment = dict(environment or {})
    env = {key: rebase(value, base_dir) for key, value in environment.items()}
    env["SAGEMAKER_BASE_DIR"] = str(base_dir)
    words = [rebase(word, base_dir) for word in entrypoint + arguments]
    if entrypoint:
        return Command(argv=_with_interpreter(words, python), env=env)
    module = image.modules.get(kind)
    if module is None:
        what = "needs a ContainerEntrypoint" if kind == "processing" else f"has no {kind} in local AWS"
        raise UnknownImage(
            f"Image {image_uri} {what}. It has: {', '.join(image.modules) or 'nothing built in'}."
        )
    if kind in ("serving", "transform") and has_user_code(environment):
        raise UnknownImage(
            f"Image {image_uri} with user code (SAGEMAKER_PROGRAM) cannot serve in local AWS yet. Leave the "
            "variable out to serve the model itself, or give the container an entry point of its own."
        )
    env["PYTHONPATH"] = str(PROJECT_ROOT)
    hosted = image.in_process if kind == "serving" else None
    return Command(argv=[str(python), "-m", module, *words], env=env, in_process=hosted)


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
