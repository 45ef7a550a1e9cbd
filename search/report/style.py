"""Colours and style sheet of the report: system fonts, light and dark, one column."""

from __future__ import annotations

COLOURS = {
    "ink": ("#1d2329", "#e7e9ec"),
    "muted": ("#5f6873", "#a1a9b3"),
    "faint": ("#b3bbc4", "#5b6570"),
    "line": ("#e2e6ea", "#30363d"),
    "paper": ("#fbfbfa", "#14171a"),
    "card": ("#ffffff", "#1b1f24"),
    "final": ("#0d7a6f", "#52c7b8"),
    "final-soft": ("#8cc7bf", "#2c7d74"),
    "default": ("#b4560f", "#eda263"),
    "search": ("#2b5ea7", "#83b1f0"),
    "search-soft": ("#93b3dd", "#3f669c"),
}
"""Name -> (on light, on dark). The plots are drawn in the light ones; in the page they become
variables, so that a figure follows the reader's theme."""
EITHER = {
    "ink": "#747c86",
    "muted": "#7d858f",
    "faint": "#8b949d",
    "line": "rgba(125,133,143,0.28)",
    "final": "#16968a",
    "final-soft": "#5fa8a0",
    "default": "#cb6d1f",
    "search": "#4479c5",
    "search-soft": "#7a9bcd",
}
"""Name -> colour that can be told from white and from dark paper, for figures on pages of others;
no two are the same, so that the page can put its own in their place."""


def colour(name: str) -> str:
    """The colour on light, for plots."""
    return COLOURS[name][0]


def either(name: str) -> str:
    """The colour for figures that stand on light or dark paper, nobody knows which."""
    return EITHER[name]


def variables(svg: str) -> str:
    """A plot whose fixed colours became the page's variables."""
    for name, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{name})")
    return svg


def style_sheet() -> str:
    """The page's style sheet."""
    light = "".join(f"--{name}:{pair[0]};" for name, pair in COLOURS.items())
    dark = "".join(f"--{name}:{pair[1]};" for name, pair in COLOURS.items())
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{SHEET}"


SHEET = """
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{padding:2.5rem 1rem 4rem}
header,section,footer{max-width:46rem;margin:0 auto}
.wide{max-width:80rem}
.wide>h2,.wide>p{max-width:46rem;margin-left:auto;margin-right:auto}
h1{font-size:1.6rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;margin:.1rem 0 .3rem}
h2{font-size:1.2rem;line-height:1.3;font-weight:650;margin:0 0 .6rem}
section{margin-top:3.2rem;scroll-margin-top:1rem}
p{margin:.6rem 0;max-width:42rem}
a{color:var(--search)}
.eyebrow,.subtitle{color:var(--muted);margin:0}
.eyebrow{font-size:.8rem;letter-spacing:.08em;text-transform:uppercase}
.headline{display:flex;flex-wrap:wrap;gap:1.1rem 2.6rem;align-items:flex-end;margin:1.8rem 0 1.2rem}
.headline p{margin:0;line-height:1.35}
.value{font-size:1.7rem;font-weight:600;letter-spacing:-.015em;font-variant-numeric:tabular-nums}
.main .value{font-size:3.6rem;line-height:1.05;color:var(--final)}
.error{font-size:1rem;font-weight:400;color:var(--muted);letter-spacing:0;white-space:nowrap}
.label{color:var(--muted);font-size:.9rem;max-width:17rem}
.notice{border-left:.25rem solid var(--default);background:var(--card);padding:.7rem 1rem;
margin:1.4rem 0;border-radius:0 .4rem .4rem 0}
.notice p{margin:0 0 .3rem}
.notice ul{margin:0;padding-left:1.2rem}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:.7rem 0;
margin:1.6rem 0 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);
font-size:.9rem}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
.scroll{overflow-x:auto;margin:1.1rem 0;background:var(--card);border:1px solid var(--line);
border-radius:.5rem}
.scroll:focus-visible,pre:focus-visible{outline:2px solid var(--search);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.45}
caption{text-align:left;color:var(--muted);font-size:.85rem;padding:.7rem .9rem .2rem}
caption span{display:inline-block;position:sticky;left:.9rem;max-width:calc(100vw - 4rem)}
th,td{padding:.5rem .9rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-weight:500;font-size:.82rem;white-space:nowrap}
tbody th,tfoot th{font-weight:500;white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
tfoot>tr>*{border-top:1px solid var(--line);border-bottom:0;font-weight:600}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.marked>*{color:var(--final);font-weight:600}
.why,.verdict{min-width:13rem}
.trials td,.trials th{font-size:.85rem;padding:.5rem .7rem}
.trials ul{list-style:none;margin:0;padding:0;white-space:nowrap;font-variant-numeric:tabular-nums}
.trials li{margin:0}
.recipe{white-space:nowrap}
.small{display:block;color:var(--muted);font-size:.8rem;font-weight:400;
white-space:normal}
.bar{display:block;height:.45rem;border-radius:.25rem;background:var(--line);min-width:7rem;
margin-top:.5rem;overflow:hidden}
.bar span{display:block;height:100%;border-radius:.25rem}
figure{margin:1.2rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem;
overflow-x:auto}
.card svg{display:block;width:100%;min-width:19rem;max-width:36rem;height:auto;margin:0 auto}
.card svg text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif!important}
figcaption{color:var(--muted);font-size:.88rem;margin-top:.5rem;max-width:42rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;
overflow-x:auto;margin:.5rem 0}
code{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
li{margin:.15rem 0}
summary{cursor:pointer;color:var(--search)}
footer{margin-top:3.5rem;color:var(--muted);font-size:.85rem}
@media (max-width:34rem){main{padding-top:1.5rem}.main .value{font-size:3rem}
section{margin-top:2.6rem}
th,td{padding:.45rem .55rem}.bar{min-width:3.5rem}
.card{padding:.5rem}}
@media print{nav{display:none}.scroll,.card{overflow:visible}}
"""
