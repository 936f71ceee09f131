"""The report page's style: one file, light and dark, nothing loaded."""

STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --paper: #fff; --card: #f6f7f9; --line: #dfe3e8; --now: #2563eb;
  --base: #b6bfcc; --bad: #b42318; --good: #157347; --shade: rgba(180, 35, 24, .10) }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #9aa5b4; --paper: #14181f; --card: #1c222b; --line: #313a46; --now: #6ea0ff;
    --base: #55606f; --bad: #ff8a7a; --good: #5fd39a; --shade: rgba(255, 138, 122, .13) }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 1100px; margin: 0 auto; padding: 28px 20px 60px }
header { display: flex; align-items: center; gap: 14px; flex-wrap: wrap }
h1 { font-size: 26px; margin: 0 }
h2 { font-size: 18px; margin: 0 0 10px }
h3 { font-size: 14px; margin: 12px 0 4px }
summary { cursor: pointer; color: var(--soft) }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px;
  margin-top: 18px }
.chip { padding: 3px 12px; border: 1px solid currentColor; border-radius: 99px;
  font-weight: 600; font-size: 13px }
.bad { color: var(--bad) }
.good { color: var(--good) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 16px 0;
  color: var(--soft) }
dd { margin: 0; color: var(--ink); overflow-wrap: anywhere }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 13.5px }
th { text-align: left; color: var(--soft); font-weight: 600 }
td, th { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word }
td:last-child { min-width: 170px }
tr:last-child td { border-bottom: 0 }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; min-width: 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px }
figure { margin: 0 }
figcaption { font-weight: 600; font-size: 13.5px }
svg { width: 100%; height: auto; display: block }
svg text { font-size: 10px; fill: var(--soft) }
.grid { stroke: var(--line); fill: none }
.line { fill: none; stroke-width: 1.8 }
.line.now { stroke: var(--now) }
.line.base { stroke: var(--base) }
circle.now { fill: var(--now) }
circle.base { fill: var(--base) }
circle.wrong { fill: var(--bad) }
.forbidden { fill: var(--shade) }
.limit { stroke: var(--bad); stroke-dasharray: 4 3; fill: none }
.bar.base { fill: var(--base) }
.bar.now { fill: var(--now); fill-opacity: .75 }
.note, .legend { color: var(--soft); margin: 0 0 10px; font-size: 13.5px }
.key { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin: 0 6px 0 0;
  vertical-align: -1px }
.key.now { background: var(--now); margin-left: 16px }
.key.base { background: var(--base) }
"""
