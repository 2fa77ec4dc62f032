"""terminal.py COMMAND < OUTPUT > PICTURE: what a command wrote to a terminal, as SVG."""

import html
import re
import sys

COLOURS = {"31": "#ff7b72", "32": "#3fb950", "33": "#d29922", "36": "#39c5cf", "2": "#8b949e"}
PLAIN, PAPER = "#e6edf3", "#0d1117"
LINE_HEIGHT, CHARACTER_WIDTH, MARGIN = 19, 8.1, 16
LINES_MAX = 30


def spans(line: str) -> str:
    """The parts of a line, each in the colour that it has."""
    style, parts = "", []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        escape = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if escape is None:
            if part:
                parts.append(f"<tspan{style}>{html.escape(part)}</tspan>")
            continue
        codes = escape[1].split(";")
        colour = next((COLOURS[code] for code in codes if code in COLOURS), PLAIN)
        weight = ' font-weight="bold"' if "1" in codes else ""
        style = "" if codes in ([""], ["0"]) else f' fill="{colour}"{weight}'
    return "".join(parts)


lines = [f"\x1b[1m$ {sys.argv[1]}\x1b[0m"] + sys.stdin.read().replace("\r", "").rstrip("\n").split("\n")
lines = lines[:LINES_MAX]
plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
width = round(max(map(len, plain)) * CHARACTER_WIDTH + 2 * MARGIN)
height = len(lines) * LINE_HEIGHT + 2 * MARGIN
print(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
    f"<title>A terminal: {html.escape(sys.argv[1])}</title>"
    f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>'
    f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13.5" fill="{PLAIN}">'
)
for number, line in enumerate(lines):
    y = MARGIN + (number + 1) * LINE_HEIGHT - 5
    print(f'<text x="{MARGIN}" y="{y}" xml:space="preserve">{spans(line)}</text>')
print("</g></svg>")
