#!/usr/bin/env python3
"""The points of bench/peers/llama_cpp.py as an SVG: bits of the linears across, KL divergence up, on a logarithmic scale.

usage: bench/peers/pareto_svg.py RESULT.json -o docs/llama_cpp.svg
"""
import argparse
import json
import math
import pathlib

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 64, 24, 44, 48
SIDES = [("stock", "llama.cpp, stock mixes", "#c2410c"), ("strata", "strata, --like the mix", "#1d4ed8")]


def ticks(low: float, high: float) -> list[float]:
    return [m * 10.0 ** e for e in range(-5, 2) for m in (1, 2, 5) if low <= m * 10.0 ** e <= high]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result")
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    points = json.loads(pathlib.Path(args.result).read_text())["points"]
    bits = [p[side]["bits"] for p in points for side, *_ in SIDES]
    kls = [p[side]["kl"] for p in points for side, *_ in SIDES]
    x0, x1, y0, y1 = min(bits) - 0.2, max(bits) + 0.2, math.log(min(kls) * 0.7), math.log(max(kls) * 1.4)

    def x(value):
        return LEFT + (value - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - (math.log(value) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
           'role="img" aria-label="KL divergence against bits: strata below llama.cpp at every size">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for value in ticks(math.exp(y0), math.exp(y1)):
        out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>'
                   f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#374151">{value:g}</text>')
    step = 0.5
    for k in range(math.ceil(x0 / step), math.floor(x1 / step) + 1):
        out.append(f'<path d="M{x(k * step):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#f3f4f6"/>'
                   f'<text x="{x(k * step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#374151">{k * step:g}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle" fill="#111827">'
               'true bits per weight of the linears</text>'
               f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" text-anchor="middle" fill="#111827">'
               'KL divergence, nats</text>')
    for k, (side, label, colour) in enumerate(SIDES):
        ordered = sorted(points, key=lambda p: p[side]["bits"])
        line = " ".join(f"{x(p[side]['bits']):.1f},{y(p[side]['kl']):.1f}" for p in ordered)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for p in ordered:
            out.append(f'<circle cx="{x(p[side]["bits"]):.1f}" cy="{y(p[side]["kl"]):.1f}" r="4" fill="{colour}"/>')
            if side == "stock":
                out.append(f'<text x="{x(p[side]["bits"]) + 7:.1f}" y="{y(p[side]["kl"]) - 7:.1f}" fill="{colour}">{p["mix"]}</text>')
        out.append(f'<circle cx="{LEFT + 12 + 220 * k}" cy="22" r="5" fill="{colour}"/>'
                   f'<text x="{LEFT + 24 + 220 * k}" y="26" fill="#111827">{label}</text>')
    pathlib.Path(args.output).write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
