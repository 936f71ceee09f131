"""Virtual environments, one per locked set: `python3 -m workbench.environments build worker jobs`.

A set is `environments/<set>.in` (what we ask for) and `environments/<set>.txt` (its lock, for Python 3.11 and
3.12 alike); it is installed into `.venv/<set>`. Standard library only, because this is what runs first on a
fresh clone; and it must at least start on an older Python, to be able to say that one is too old.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "environments"
VENVS = ROOT / ".venv"
STAMP = "lock.json"
SUPPORTED = ((3, 12), (3, 11))
ON_DEMAND = ("evidently",)  # built when its benchmark is run, or by name
HEARTBEAT_SECONDS = 10.0


class EnvironmentProblem(Exception):
    """An environment could not be made; the message says what to do about it."""


def names() -> list[str]:
    """Every set that has a lock."""
    return sorted(path.stem for path in LOCKS.glob("*.txt"))


def python_of(name: str) -> Path:
    """The interpreter of a set, whether or not it has been built."""
    return VENVS / name / "bin" / "python"


def require(name: str) -> Path:
    """The interpreter of a set that must have been built; raises EnvironmentProblem if it has not."""
    python = python_of(name)
    if not python.exists():
        raise EnvironmentProblem(f"the environment {name!r} is not built: run `make environments`")
    return python


def is_current(name: str) -> bool:
    """Whether `.venv/<name>` holds exactly what its lock says, on an interpreter that still runs."""
    try:
        stamp = json.loads((VENVS / name / STAMP).read_text())
    except (OSError, ValueError):
        return False
    return stamp == _stamp(name, _version_of(python_of(name)) or "") and _is_wanted_python(name)


def build(wanted: Sequence[str]) -> None:
    """Create or update the environments named, in that order; those that are current cost nothing.

    Raises EnvironmentProblem with one message: unsupported Python, unknown set, no package index, full disk.
    """
    for name in wanted:
        if name not in names():
            raise EnvironmentProblem(f"there is no set {name!r}; the sets are {', '.join(names())}")
    stale = [name for name in wanted if not is_current(name)]
    if not stale:
        return
    _require_supported_python()
    with _exclusive():
        uv = _uv()
        for name in stale:
            _build_one(uv, name)


def lock(wanted: Sequence[str]) -> None:
    """Renew the locks of the sets named: the newest versions that `environments/<set>.in` allows."""
    _require_supported_python()
    with _exclusive():
        uv = _uv()
        for name in wanted:
            command = [str(uv), "pip", "compile", "--quiet", "--upgrade", "--universal", "--no-header"]
            command += ["--python-version", ".".join(map(str, min(SUPPORTED)))]
            for option, suffix in (("--override", "overrides"), ("--excludes", "excludes")):
                if (LOCKS / f"{name}.{suffix}").exists():
                    command += [option, f"environments/{name}.{suffix}"]
            command += ["--output-file", f"environments/{name}.txt", f"environments/{name}.in"]
            _run(command, f"resolve environments/{name}.in")
            _say(f"environments/{name}.txt: renewed")
    build(["sdk"])
    refresh = ROOT / "config" / "refresh_image_uris.py"
    if refresh.exists():
        _say("image URIs: reading the SageMaker SDK's table")
        _run([str(python_of("sdk")), str(refresh)], "refresh the image URIs")


def _build_one(uv: Path, name: str) -> None:
    started = time.monotonic()
    home = VENVS / name
    (home / STAMP).unlink(missing_ok=True)
    if _version_of(python_of(name)) is None or not _is_wanted_python(name):
        _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], f"create {name}")
    sync = [str(uv), "pip", "sync", "--quiet", "--python", str(python_of(name))]
    _run([*sync, str(LOCKS / f"{name}.txt")], f"install environments/{name}.txt")
    version = _version_of(python_of(name))
    temporary = home / (STAMP + ".part")
    temporary.write_text(json.dumps(_stamp(name, version or "")))
    temporary.replace(home / STAMP)
    _say(f".venv/{name}: built in {time.monotonic() - started:.0f} s")


def _stamp(name: str, python: str) -> dict[str, str]:
    return {"lock": hashlib.sha256((LOCKS / f"{name}.txt").read_bytes()).hexdigest(), "python": python}


def _uv() -> Path:
    """The pinned uv, in an environment of its own: installs in seconds what takes pip minutes."""
    home = VENVS / "uv"
    uv = home / "bin" / "uv"
    pin = re.search(r"^uv==\S+", (LOCKS / "dev.txt").read_text(), flags=re.MULTILINE)
    assert pin, "environments/dev.txt pins uv"
    stamp = home / STAMP
    if uv.exists() and stamp.exists() and stamp.read_text() == pin.group():
        return uv
    try:
        import ensurepip  # noqa: F401 - only to learn whether this Python has it
    except ImportError:
        short = ".".join(map(str, sys.version_info[:2]))
        raise EnvironmentProblem(
            f"{sys.executable} cannot make virtual environments (no ensurepip): "
            f"install it (Debian: apt-get install python{short}-venv) or choose another with PYTHON=..."
        ) from None
    _run([sys.executable, "-m", "venv", "--clear", str(home)], "create .venv/uv")
    _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", pin.group()], "install uv")
    stamp.write_text(pin.group())
    return uv


def _run(command: Sequence[str], what: str) -> None:
    """Run an installer, quiet but for a sign of life; raises EnvironmentProblem with the reason."""
    with _ticking(what):
        done = _captured(command, {**os.environ, **_index_settings()})
    if done.returncode != 0:
        raise EnvironmentProblem(_explain(what, done.stdout, shutil.disk_usage(ROOT).free))


def _captured(command: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _explain(what: str, output: str, free_bytes: int) -> str:
    """Why an installer failed, and what to do; in its own words when we know no better."""
    tail = "\n".join(line for line in output.strip().splitlines()[-8:])
    if "No space left" in output or "os error 28" in output or free_bytes < 50_000_000:
        return (
            f"could not {what}: the disk is full. All environments and the package cache take about 5 GB "
            f"({free_bytes / 1e9:.1f} GB are free under {ROOT}). Free some space and run it again.\n{tail}"
        )
    no_index = ("error sending request", "dns error", "Failed to fetch", "Could not find a version")
    no_network = ("name resolution", "Network is unreachable", "Connection refused", "timed out")
    if any(sign in output for sign in (*no_index, *no_network)):
        return (
            f"could not {what}: the package index did not answer. Check the network, or name a mirror "
            f"with PIP_INDEX_URL=... and run it again.\n{tail}"
        )
    return f"could not {what}:\n{tail}"


def _index_settings() -> dict[str, str]:
    """A mirror and its certificate set for pip, in uv's words: uv does not read pip's settings."""
    if any(key in os.environ for key in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_CONFIG_FILE")):
        return {}
    listed = _captured([sys.executable, "-m", "pip", "config", "list"], dict(os.environ))
    found = dict(re.findall(r"^(?:\S*\.)?(index-url|cert)='(.+)'$", listed.stdout, flags=re.MULTILINE))
    settings = {}
    if "index-url" in found:
        settings["UV_DEFAULT_INDEX"] = found["index-url"]
    if "cert" in found and "SSL_CERT_FILE" not in os.environ:
        settings["SSL_CERT_FILE"] = found["cert"]
    return settings


def _require_supported_python() -> None:
    if sys.version_info[:2] not in SUPPORTED:
        raise EnvironmentProblem(
            "Python 3.12 or 3.11 is needed, and {} is {}.{}: name another with PYTHON=/path/to/python".format(
                sys.executable, *sys.version_info[:2]
            )
        )


def _version_of(python: Path) -> str | None:
    """The version of an environment's interpreter, read without starting it; None when it is gone."""
    try:
        settings = (python.parent.parent / "pyvenv.cfg").read_text()
    except OSError:
        return None
    version = re.search(r"^version(?:_info)? = (\d+\.\d+\.\d+)", settings, flags=re.MULTILINE)
    # exists() follows the link to the base interpreter, which may have been removed since.
    return version.group(1) if version and python.exists() else None


def _is_wanted_python(name: str) -> bool:
    """An environment keeps the Python it was made with, unless another is asked for by PYTHON=..."""
    asked = bool(os.environ.get("PYTHON"))
    return not asked or _version_of(python_of(name)) == ".".join(map(str, sys.version_info[:3]))


@contextmanager
def _exclusive() -> Iterator[None]:
    """One builder at a time: two would install over each other."""
    VENVS.mkdir(exist_ok=True)
    with (VENVS / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another build of the environments")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _ticking(what: str) -> Iterator[None]:
    """Show the seconds while something runs: in place on a terminal, elsewhere a line now and then."""
    done = threading.Event()
    terminal = sys.stderr.isatty()

    def tick() -> None:
        started = time.monotonic()
        while not done.wait(1 if terminal else HEARTBEAT_SECONDS):
            text = f"  {what}: {time.monotonic() - started:.0f} s"
            head, end = ("\r", "") if terminal else ("", "\n")
            print(head + text, end=end, file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="workbench.environments", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (("build", "create or update"), ("lock", "renew the locks of")):
        subparser = commands.add_parser(command, help=f"{text} the sets named (default: all)")
        subparser.add_argument("sets", nargs="*", metavar="set")
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            build(options.sets or [name for name in names() if name not in ON_DEMAND])
        else:
            lock(options.sets or names())
    except EnvironmentProblem as problem:
        _say(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        _say("\nstopped; running it again continues where it was")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
