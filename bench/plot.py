# SPDX-License-Identifier: MIT
"""Grouped horizontal bars as SVG, without a library."""
from xml.sax.saxutils import escape

COLOURS = ("#4878a8", "#c87840", "#889060", "#805880", "#808080")
LABEL, BAR, ROW_GAP, WIDTH, TOP = 130, 11, 9, 560, 58


def bars(title, note, series, rows, mark=1, digits=3):
    """@series: names; @rows: (label, value or None per series).  Values are shown with so many digits; @mark is marked, unless None."""
    scale = WIDTH / max([1.2 * (mark or 0)] + [v for _, values in rows for v in values if v])
    height = TOP + len(rows) * (BAR * len(series) + ROW_GAP) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 70}" height="{height}" '
           'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="#fff"/>',
           text(8, 17, title, 14), text(8, 34, note)]
    out += legend(series)
    y = TOP
    for label, values in rows:
        out.append(text(8, y + BAR, label))
        for i, value in enumerate(values):
            if value is not None:
                out += bar(y + i * BAR, value * scale, f"{value:.{digits}f}", COLOURS[i % len(COLOURS)])
        y += BAR * len(series) + ROW_GAP
    if mark is not None:
        x = LABEL + mark * scale
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{y}" stroke="#333" stroke-dasharray="3"/>')
    return "\n".join(out + ["</svg>"]) + "\n"


def text(x, y, words, size=11):
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}">{escape(words)}</text>'


def bar(y, width, shown, colour):
    return [f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{colour}"/>',
            text(LABEL + width + 4, y + BAR - 2, shown, 9)]


def legend(series):
    out, x = [], LABEL
    for i, name in enumerate(series):
        out.append(f'<rect x="{x}" y="41" width="9" height="9" fill="{COLOURS[i % len(COLOURS)]}"/>')
        out.append(text(x + 13, 49, name))
        x += 30 + 7 * len(name)
    return out
