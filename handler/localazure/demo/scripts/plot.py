import html
import math


def sample(f, left, right, count=400):
    """Return points of f; there is none where f has no value."""
    points = []
    for i in range(count + 1):
        x = left + (right - left) * i / count
        try:
            y = float(f(x))
        except (ArithmeticError, TypeError, ValueError):
            continue
        if math.isfinite(y):
            points.append((x, y))
    return points


def draw(points, title, path="/mnt/data/plot.svg"):
    """Draw a line through the points as an SVG file, and print what was drawn."""
    if not points:
        raise ValueError("there is no point to draw")
    xs, ys = zip(*points)
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    line = " ".join(
        f"{60 + 520 * (x - left) / ((right - left) or 1):.1f},{340 - 300 * (y - low) / ((high - low) or 1):.1f}"
        for x, y in points
    )
    labels = [(60, 360, left), (540, 360, right), (5, 340, low), (5, 45, high)]
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 380" font-family="sans-serif" font-size="12">
<rect width="600" height="380" fill="white"/>
<text x="300" y="20" text-anchor="middle" font-size="16">{html.escape(title)}</text>
<path d="M60 40V340H580" fill="none" stroke="gray"/>
<polyline points="{line}" fill="none" stroke="royalblue" stroke-width="2"/>
{"".join(f'<text x="{x}" y="{y}">{value:.4g}</text>' for x, y, value in labels)}
</svg>"""
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg)
    print(f"{len(points)} points, x from {left:.4g} to {right:.4g}, min {low:.4g}, max {high:.4g}")
    print("saved as", path)
