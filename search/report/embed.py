"""What makes the page's figures answer to a pointer: plotly.js, the data and a short script.

plotly.js is 4.8 MB, and the Python package holds no smaller build of it. It is put into the page
once, compressed and in base64: 2 MB, which every browser since 2023 unpacks itself. Where one
cannot, or runs no scripts, and in print, the drawn SVG stays. The page's own policy forbids
everything else: no request leaves it, and no script runs in it whose hash is not told.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from search.report.markup import Html
from search.report.style import EITHER

if TYPE_CHECKING:
    import plotly.graph_objects as go


@lru_cache(maxsize=1)
def library() -> tuple[str, str]:
    """(plotly.js as gzip in base64, its sha256 as a policy names it)."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  # 5 MB that few need

    code = get_plotlyjs().encode()
    packed = gzip.compress(code, 6, mtime=0)  # 9 saves 3 kB
    return base64.b64encode(packed).decode(), digest(code)


def digest(code: bytes) -> str:
    """The hash of a script as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code).digest()).decode()}'"


def policy(*, scripts: bool) -> Html:
    """What the page may do: show itself, and run the two scripts it came with, if any."""
    allowed = f"; script-src {library()[1]} {digest(SCRIPT.encode())}" if scripts else ""
    rule = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:{allowed}"
    return Html(f'<meta http-equiv="Content-Security-Policy" content="{rule}">')


def data(name: str, figure: go.Figure) -> Html:
    """A figure as data for the page, beside the drawn one of the same name.

    The title is the section's. Nothing in it can end the element: `<`, `>` and `&` are written as
    JSON's escapes.
    """
    plain: dict[str, Any] = figure.to_plotly_json()
    plain["layout"].pop("title", None)
    return Html(f'<script type="application/json" data-plot="{name}">{as_json(plain)}</script>')


def as_json(value: object) -> str:
    """JSON that can stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def scripts() -> Html:
    """plotly.js, packed, and the script that unpacks it and draws."""
    packed = Html(library()[0])
    return Html(f'<script type="text/plain" id="plotly">{packed}</script><script>{SCRIPT}</script>')


SCRIPT = """
(async () => {
  "use strict";
  const COLOURS = {};
  const plots = [...document.querySelectorAll("script[data-plot]")];
  if (!plots.length || !window.DecompressionStream) return;
  const packed = atob(document.getElementById("plotly").textContent);
  const bytes = Uint8Array.from(packed, sign => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  if (!window.Plotly) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const config = {
    displaylogo: false, displayModeBar: "hover",
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],
  };
  const draw = async plot => {
    const card = document.getElementById(plot.dataset.plot + "-card");
    const style = getComputedStyle(document.documentElement);
    let text = plot.textContent;
    for (const [name, colour] of Object.entries(COLOURS))
      text = text.replaceAll(colour, style.getPropertyValue("--" + name).trim());
    const figure = JSON.parse(text);
    figure.layout.font.family = getComputedStyle(document.body).fontFamily;
    figure.layout.hoverlabel.bgcolor = style.getPropertyValue("--card").trim();
    figure.layout.hoverlabel.bordercolor = style.getPropertyValue("--faint").trim();
    figure.layout.hoverlabel.font = {color: style.getPropertyValue("--ink").trim()};
    figure.layout.margin.t = 24;
    if (card.clientWidth < 480)
      Object.assign(figure.layout.legend, {entrywidthmode: "fraction", entrywidth: 0.5});
    if (coarse) figure.layout.dragmode = false;  // a finger on the figure scrolls the page
    let live = card.querySelector(".live");
    if (!live) {
      live = document.createElement("div");
      live.className = "live";
      live.setAttribute("role", "img");
      live.setAttribute("aria-label", card.querySelector("svg").getAttribute("aria-label"));
      card.append(live);
      new ResizeObserver(() => live._fullLayout && draw(plot)).observe(card);
    }
    card.classList.add("drawn");
    try {
      await Plotly.react(live, figure.data, figure.layout, config);
    } catch (error) {
      card.classList.remove("drawn");
      throw error;
    }
  };
  const all = () => plots.forEach(draw);
  dark.addEventListener("change", all);
  all();
})();
""".replace("COLOURS = {}", f"COLOURS = {json.dumps(EITHER)}")
"""Puts plotly's figures in the place of the drawn ones, in the page's colours and font."""
