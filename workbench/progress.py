"""What a person sees while something takes time: a spinner on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)


def say(message: str = "") -> None:
    console.print(message, soft_wrap=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show that something is being done, and how long it took."""
    started = time.monotonic()
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield
    say(f"  {what} [dim]{time.monotonic() - started:.1f} s[/dim]")


def wait_for(
    conditions: Mapping[str, Callable[[], bool]],
    *,
    timeout_seconds: float,
    check: Callable[[], None],
    interval_seconds: float = 0.25,
) -> list[str]:
    """Wait until every condition has held once; say each as it does. Returns those that never did.

    `check` is called in every round and raises when waiting has become pointless.
    """
    started = time.monotonic()
    pending = dict(conditions)
    with console.status("") as spinner:
        while pending and time.monotonic() - started < timeout_seconds:
            spinner.update(f"waiting for {', '.join(pending)}")
            check()
            for name in [name for name, holds in pending.items() if holds()]:
                del pending[name]
                say(f"  {name} [dim]{time.monotonic() - started:.1f} s[/dim]")
            if pending:
                time.sleep(interval_seconds)
    return list(pending)
