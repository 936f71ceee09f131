"""Small charts as inline SVG: nothing to load, nothing to install. Colours come from the page's variables.

Class names used by the page's style: ``now``, ``base`` (baseline), ``limit`` (threshold), ``wrong`` (beyond
it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 34


@dataclass(frozen=True)
class Line:
    """A polyline through ``points`` (x, y), or dots when ``dots``."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "now"
    dots: bool = False


@dataclass(frozen=True)
class Axes:
    """Data ranges of a chart and their pixel positions."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = WIDTH
    height: int = HEIGHT

    def across(self, value: float) -> float:
        low, high = self.x
        return LEFT + (value - low) / ((high - low) or 1) * (self.width - LEFT - RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return self.height - BOTTOM - (value - low) / ((high - low) or 1) * (self.height - TOP - BOTTOM)


def lines(
    series: Iterable[Line],
    axes: Axes,
    *,
    label: str,
    x_label: str = "",
    y_label: str = "",
    x_ticks: Sequence[tuple[float, str]] | None = None,
    forbidden: tuple[float, float] | None = None,
    diagonal: bool = False,
) -> str:
    """A line chart.

    ``forbidden`` shades y values a metric may not have; ``label`` is its text for screen readers.
    """
    parts = [_frame(axes, x_ticks, x_label, y_label)]
    if forbidden is not None:
        low, high = (max(axes.y[0], min(axes.y[1], value)) for value in forbidden)
        top, bottom = axes.up(high), axes.up(low)
        parts.append(
            f'<rect class="forbidden" x="{LEFT}" y="{top:.1f}" width="{axes.width - LEFT - RIGHT}" '
            f'height="{max(0.0, bottom - top):.1f}"/>'
        )
        edge = axes.up(forbidden[1] if forbidden[0] <= axes.y[0] else forbidden[0])
        parts.append(f'<path class="limit" d="M{LEFT} {edge:.1f}H{axes.width - RIGHT}"/>')
    if diagonal:
        start, end = (f"{axes.across(v):.1f} {axes.up(v):.1f}" for v in (0.0, 1.0))
        parts.append(f'<path class="grid" d="M{start}L{end}"/>')
    for line in series:
        places = [(axes.across(x), axes.up(y)) for x, y in line.points]
        if not line.dots and len(places) > 1:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
            parts.append(
                f'<path class="line {line.style}" d="M{path}"><title>{escape(line.name)}</title></path>'
            )
        if line.dots or len(places) <= 40:
            parts += [
                f'<circle class="{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
                f"<title>{escape(line.name)}: {data[1]:.4g}</title></circle>"
                for (x, y), data in zip(places, line.points, strict=True)
            ]
    return _svg(axes, parts, label)


def histograms(
    base: Sequence[float], now: Sequence[float], ticks: Sequence[tuple[float, str]], *, label: str
) -> str:
    """Two distributions as shares over the same bins: the baseline filled, the window outlined."""
    count = max(len(base), 1)
    axes = Axes((0, count), (0, max([*base, *now, 1e-9]) * 1.05))
    parts = [_frame(axes, ticks, "", "share")]
    step = axes.across(1) - axes.across(0)
    for style, shares in (("base", base), ("now", now)):
        for i, share in enumerate(shares):
            inset = 0.08 if style == "base" else 0.22
            x, y = axes.across(i) + step * inset, axes.up(share)
            name = "baseline" if style == "base" else "window"
            parts.append(
                f'<rect class="bar {style}" x="{x:.1f}" y="{y:.1f}" width="{step * (1 - 2 * inset):.1f}" '
                f'height="{axes.up(0) - y:.1f}"><title>{name}: {share:.1%}</title></rect>'
            )
    return _svg(axes, parts, label)


def bar_pairs(rows: Sequence[tuple[str, float, float]], *, label: str) -> str:
    """Horizontal pairs of bars: name, baseline value, value now."""
    height, left = 22, 150
    top = max([value for _, *pair in rows for value in map(abs, pair)] + [1e-12])
    axes = Axes((0, 1), (0, 1), 2 * WIDTH, height * len(rows) + 8)
    parts = []
    for i, (name, base, now) in enumerate(rows):
        y = i * height + 4
        parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        for offset, style, value in ((0, "base", base), (8, "now", now)):
            width = abs(value) / top * (axes.width - left - 60)
            parts.append(
                f'<rect class="bar {style}" x="{left}" y="{y + offset}" width="{width:.1f}" height="7">'
                f"<title>{escape(name)}: {value:.4g}</title></rect>"
            )
    return _svg(axes, parts, label)


def _frame(axes: Axes, x_ticks: Sequence[tuple[float, str]] | None, x_label: str, y_label: str) -> str:
    parts = []
    for i in range(5):
        value = axes.y[0] + (axes.y[1] - axes.y[0]) * i / 4
        y = axes.up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{axes.width - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{value:.3g}</text>')
    ticks = x_ticks
    if ticks is None:
        ticks = [(axes.x[0] + (axes.x[1] - axes.x[0]) * i / 4, "") for i in range(5)]
        ticks = [(value, f"{value:.3g}") for value, _ in ticks]
    for value, text in ticks:
        x = axes.across(value)
        anchor = "end" if x > axes.width - RIGHT - 20 else "start" if x < LEFT + 20 else "middle"
        parts.append(
            f'<text x="{x:.1f}" y="{axes.height - BOTTOM + 14}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    middle = (LEFT + axes.width - RIGHT) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{axes.height - 4}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(f'<text class="axis" x="{LEFT}" y="{TOP - 2}" text-anchor="start">{escape(y_label)}</text>')
    return "".join(parts)


def _svg(axes: Axes, parts: Iterable[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {axes.width} {axes.height}" role="img" aria-label="{escape(label, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
