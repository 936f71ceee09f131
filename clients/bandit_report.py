"""The page of a played experiment: rewards, regret, what was shown, and estimates against the truth.

    python -m clients.bandit_report --folder FOLDER --title "Experiment shuttle"

Reads what the simulator and the demonstration left in the folder (`steps.jsonl`, `history.json`), writes
`report.html`: one file, light and dark, nothing loaded.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Floats: TypeAlias = npt.NDArray[np.float64]
Record: TypeAlias = dict[str, Any]

WINDOW = 100  # steps of the rolling mean, as in the original's plot
BLUE, ORANGE, GREEN, GREY, RED = "#2f81f7", "#d9822b", "#3fb950", "#8b949e", "#e5534b"
PALETTE = (BLUE, ORANGE, GREEN, "#a371f7", RED, "#39c5cf", "#d4a72c", GREY)
INK = "#010203"  # becomes currentColor
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bandit",  # the same experiment draws the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "axes.grid": True,
    "legend.frameon": False,
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark;
  --ink: #1f2328; --soft: #59636e; --page: #f6f8fa; --card: #fff; --line: #d1d9e0 }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6edf3; --soft: #9198a1; --page: #0d1117; --card: #151b23; --line: #3d444d }} }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }}
main {{ max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px }}
h1 {{ font-size: 24px; margin: 0 }} h2 {{ font-size: 16px; margin: 0 0 4px }}
p {{ margin: 0 0 8px; color: var(--soft); font-size: 13.5px }}
.tiles, .charts {{ display: grid; gap: 14px; margin-top: 16px }}
.tiles {{ grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)) }}
.charts {{ grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)) }}
section, .tile {{ background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 16px; overflow-x: auto }}
.tile b {{ display: block; font-size: 26px; font-variant-numeric: tabular-nums }}
.tile span {{ color: var(--soft); font-size: 13px }}
svg {{ width: 100%; height: auto; color: var(--ink); display: block }}
table {{ border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums }}
th {{ text-align: left; color: var(--soft) }}
th, td {{ padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line) }}
td.number, th.number {{ text-align: right }}
</style>
<main>
<h1>{title}</h1>
<div class="tiles">{tiles}</div>
<div class="charts">{charts}</div>
<section style="margin-top: 14px"><h2>Batches</h2>{table}</section>
</main>
</html>
"""


def rolling(values: Floats, window: int = WINDOW) -> Floats:
    """Mean of the last `window` values at each step, of fewer at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - window)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def regret(steps: Sequence[Record]) -> Floats:
    """Cumulated difference between the oracle's mean reward and that of the arms taken.

    Counted with rewards as they were paid: in a noisy world it wanders about its mean.
    """
    return np.cumsum([step["oracle"] - step["reward"] for step in steps])


def shares(steps: Sequence[Record], size: int) -> tuple[list[str], Floats]:
    """Arms by how often they were taken (the last: all others), and the share of each in every batch."""
    common = [arm for arm, _ in Counter(str(step["action"]) for step in steps).most_common(len(PALETTE) - 1)]
    names = [*common, "others"]
    table = np.zeros((len(names), -(-len(steps) // size)))
    for number, step in enumerate(steps):
        arm = str(step["action"])
        table[names.index(arm) if arm in common else -1, number // size] += 1
    return names, table / table.sum(axis=0)


def estimates(history: Sequence[Record]) -> list[Record]:
    """What each judged challenger was estimated to be worth relative to its champion, and what became of it.

    `truth`: mean reward of the batch that the model then served, minus that of the batch before, each of
    them a mean of its own steps; None when the model was not taken, or was the last.
    """
    found = []
    for number, batch in enumerate(history):
        verdict = batch.get("verdict") or {}
        if not verdict:
            continue
        follows = history[number + 1] if number + 1 < len(history) and verdict["approved"] else None
        found.append(
            {
                "batch": batch["batch"],
                **{name: verdict[name] for name in ("difference", "low", "high", "approved")},
                "truth": follows["reward"] - batch["reward"] if follows else None,
                "steps": batch["steps"],
            }
        )
    return found


def page(title: str, steps: Sequence[Record], history: Sequence[Record]) -> str:
    """The whole page as HTML."""
    size = history[0]["steps"]
    rewards = np.array([step["reward"] for step in steps], dtype=np.float64)
    constant = [step["majority"] for step in steps if step["majority"] is not None]
    figures = [
        ("mean reward", f"{rewards.mean():.3f}"),
        (f"last {min(500, len(rewards))} steps", f"{rewards[-500:].mean():.3f}"),
        ("oracle", f"{np.mean([step['oracle'] for step in steps]):.3f}"),
        ("best constant arm", f"{np.mean(constant):.3f}" if constant else "arms change"),
        ("chance", f"{np.mean([step['chance'] for step in steps]):.3f}"),
        ("regret", f"{regret(steps)[-1]:,.0f}"),
    ]
    charts = [
        (
            "Reward",
            f"Mean of the last {WINDOW} steps; a line at each swap.",
            _draw(lambda a: _reward(a, steps)),
        ),
        ("Regret", "What the oracle would have got more, summed up.", _draw(lambda a: _regret(a, steps))),
        ("Arms", "Share of each arm in a batch.", _draw(lambda a: _shares(a, steps, size))),
        (
            "Propensities",
            "Probability with which the action was drawn; what is logged with it.",
            _draw(lambda a: _propensities(a, steps, size)),
        ),
        (
            "Estimate against truth",
            "Estimated advantage of each challenger over its champion (doubly robust, with its interval), "
            "and the change in mean reward when it served the next batch.",
            _draw(lambda a: _estimates(a, estimates(history))),
        ),
    ]
    return PAGE.format(
        title=html.escape(title),
        tiles="".join(
            f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in figures
        ),
        charts="".join(
            f"<section><h2>{name}</h2><p>{html.escape(text)}</p>{svg}</section>" for name, text, svg in charts
        ),
        table=_table(history),
    )


def _reward(axes: Axes, steps: Sequence[Record]) -> None:
    def line(name: str, colour: str, **how: Any) -> None:
        values = [step[name] for step in steps]
        if values[0] is not None:
            axes.plot(rolling(np.array(values, dtype=np.float64)), color=colour, **how)

    served = [step["model_id"] for step in steps]
    for number in range(1, len(served)):
        if served[number] != served[number - 1]:
            axes.axvline(number, color=GREY, linewidth=0.4)
    line("oracle", GREEN, label="oracle", linewidth=1)
    line("majority", ORANGE, label="best constant arm", linewidth=1)
    line("chance", GREY, label="chance", linewidth=1)
    line("reward", BLUE, label="bandit", linewidth=1.6)
    axes.set(xlabel="step", ylabel="mean reward", ylim=(0, None))
    axes.legend(loc="center right")


def _regret(axes: Axes, steps: Sequence[Record]) -> None:
    axes.plot(regret(steps), color=BLUE, linewidth=1.6, label="bandit")
    oracle = np.array([step["oracle"] for step in steps])
    for name, colour, label in (("majority", ORANGE, "best constant arm"), ("chance", GREY, "chance")):
        values = [step[name] for step in steps]
        if values[0] is not None:
            axes.plot(np.cumsum(oracle - np.array(values)), color=colour, linewidth=1, label=label)
    axes.set(xlabel="step", ylabel="regret")
    axes.set_ylim(0, max(1.0, 1.6 * float(regret(steps).max())))
    axes.legend(loc="lower right")


def _shares(axes: Axes, steps: Sequence[Record], size: int) -> None:
    names, table = shares(steps, size)
    below = np.zeros(table.shape[1])
    for name, values, colour in zip(names, table, PALETTE, strict=False):
        if values.any():
            axes.bar(np.arange(1, len(values) + 1), values, bottom=below, color=colour, label=name, width=0.9)
            below += values
    axes.set(xlabel="batch", ylabel="share", ylim=(0, 1))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _propensities(axes: Axes, steps: Sequence[Record], size: int) -> None:
    taken = np.array([step["action_prob"] for step in steps])
    batches = [taken[begin : begin + size] for begin in range(0, len(taken), size)]
    where = np.arange(1, len(batches) + 1)
    for share, colour in ((0.01, RED), (0.05, ORANGE), (0.5, BLUE)):
        values = [float(np.quantile(batch, share)) for batch in batches]
        axes.plot(where, values, color=colour, marker="o", markersize=3, label=f"{share:.0%} quantile")
    axes.plot(
        where, [float(batch.min()) for batch in batches], color=GREY, marker="o", markersize=3, label="least"
    )
    axes.set(xlabel="batch", ylabel="probability", yscale="log")
    axes.legend(loc="center right")


def _estimates(axes: Axes, found: Sequence[Record]) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    for item in found:
        colour = BLUE if item["approved"] else GREY
        axes.plot([item["batch"]] * 2, [item["low"], item["high"]], color=colour, linewidth=2)
        axes.plot(item["batch"], item["difference"], "o", color=colour, markersize=5)
    known = [item for item in found if item["truth"] is not None]
    if known:
        axes.plot(
            [item["batch"] + 0.25 for item in known],
            [item["truth"] for item in known],
            "D",
            color=ORANGE,
            markersize=4,
        )
    for marker, colour, label in (("o", BLUE, "taken"), ("o", GREY, "refused"), ("D", ORANGE, "what came")):
        axes.plot([], [], marker, color=colour, label=label)
    axes.set(xlabel="batch", ylabel="advantage in mean reward")
    axes.legend(loc="upper right")


def _table(history: Sequence[Record]) -> str:
    rows = []
    for batch in history:
        verdict = batch.get("verdict") or {}
        numbers = [batch["batch"], f"{batch['reward']:.3f}", batch["rewards_sent"], f"{batch['seconds']:.1f}"]
        cells = "".join(f'<td class="number">{value}</td>' for value in numbers)
        text = html.escape(str(verdict.get("reason", "not judged")))
        rows.append(f"<tr>{cells}<td>{verdict.get('finding', '')}</td><td>{text}</td></tr>")
    heads = ("batch", "reward", "rewards sent", "learned in s")
    head = "".join(f'<th class="number">{name}</th>' for name in heads) + "<th>verdict</th><th></th>"
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _draw(fill: Callable[[Axes], None]) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.3), layout="constrained")
        fill(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    svg = stream.getvalue()
    return re.sub(r"^.*?(?=<svg)", "", svg, count=1, flags=re.DOTALL).replace(INK, "currentColor")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--title", default="Bandit experiment")
    options = parser.parse_args(arguments)
    steps = [json.loads(line) for line in (options.folder / "steps.jsonl").read_text().splitlines()]
    history = json.loads((options.folder / "history.json").read_text())
    (options.folder / "report.html").write_text(page(options.title, steps, history))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
