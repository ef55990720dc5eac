// A chart of curves: drawn as SVG, zoomed by dragging, read with the pointer or the keyboard, saved as a file.
import {h, s, swatch} from "./elements.js";
import {isNumber, fixed, signed, short, duration, tickLabel} from "./numbers.js";
import {valueAt, unitName, isBetter} from "./data.js";
import {ticks, timeTicks, extent, scale} from "./scale.js";
import {saveButtons} from "./save.js";
import {state, addDrawer, zoom} from "./state.js";

const kStyle = {raw: [.6, .25], seed: [1, .55], mean: [2.4, 1]};  // width and opacity
const isTime = () => state.x === "seconds";
const xLabel = x => isTime() ? duration(x) : short(x);

const path = (line, to) =>
  line.xs.map((x, i) => (i ? "L" : "M") + to.x(x).toFixed(1) + " " + to.y(line.ys[i]).toFixed(1)).join("");

function drawAxes(spec, to, box, [x0, x1], height, width) {
  const xTicks = (isTime() ? timeTicks : ticks)(x0, x1, width < 500 ? 5 : 8);
  const yTick = t => [
    s("line", {x1: box.left, x2: box.right, y1: to.y(t), y2: to.y(t),
               stroke: spec.zero && t === 0 ? "var(--soft)" : "var(--grid)"}),
    s("text", {x: box.left - 8, y: to.y(t) + 4, "text-anchor": "end"}, tickLabel(t))];
  const xTick = t => [
    s("line", {x1: to.x(t), x2: to.x(t), y1: box.bottom, y2: box.bottom + 4, stroke: "var(--line)"}),
    s("text", {x: to.x(t), y: box.bottom + 18, "text-anchor": to.x(t) > box.right - 14 ? "end" : "middle"}, xLabel(t))];
  return [
    to.yTicks.map(yTick),
    s("line", {x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "var(--line)"}),
    xTicks.map(xTick),
    s("text", {x: box.right, y: height - 4, "text-anchor": "end"}, isTime() ? "time trained" : unitName)];
}

function drawLine(spec, line, to) {
  const color = line.entrant.color, [width, opacity] = kStyle[line.kind];
  return [
    s("path", {d: path(line, to), stroke: color, "stroke-width": width, "stroke-opacity": opacity,
               "stroke-dasharray": line.entrant.dash || null}),
    line.diverged && s("text", {x: to.x(line.xs.at(-1)), y: to.y(line.ys.at(-1)), "text-anchor": "middle",
                                style: `fill:${color};font-size:16px`}, "\u2715"),
    line.kind === "mean" && spec.dots &&
      line.xs.map((x, i) => s("circle", {cx: to.x(x), cy: to.y(line.ys[i]), r: 2.6, fill: color}))];
}

// spec: {title, hint, metric, log: may be logarithmic, zero: draws the line of 0, dots: marks points,
//        lines(state): [{entrant, seed, kind: "raw" | "seed" | "mean", xs, ys, diverged}]}
export function chart(spec) {
  const holder = h("div", {}), clip = "clip" + addDrawer(draw);
  const tip = h("div", {class: "tip", role: "status", hidden: ""});
  let view = null;

  function draw() {
    const lines = spec.lines(state).filter(l => l.xs.length && !state.off.has(l.entrant.name));
    const ranges = extent(lines, state.range, spec.zero), [x0, x1, y0] = ranges;
    if (!(x1 > x0) || !isNumber(y0)) {
      view = null;
      holder.replaceChildren(h("p", {class: "hint"}, "Nothing to show here."));
      return;
    }
    const width = Math.max(280, holder.clientWidth || 1000);
    const height = Math.round(Math.max(240, Math.min(400, width * .42)));
    const box = {left: 58, right: width - 12, top: 8, bottom: height - 40};
    const to = scale(ranges, box, spec.log && state.y === "log" && y0 > 0);
    const means = lines.filter(l => l.kind === "mean");
    const ends = means.map(l => `${l.entrant.name} ${fixed(l.ys.at(-1))}`).join(", ");
    const summary = `${spec.title} by ${isTime() ? "time" : unitName}. At the end: ${ends}.`;
    const cursor = s("line", {y1: box.top, y2: box.bottom, stroke: "var(--soft)", visibility: "hidden"});
    const band = s("rect", {y: box.top, height: box.bottom - box.top, fill: "var(--accent)", "fill-opacity": .15,
                            visibility: "hidden"});
    const inOrder = ["raw", "seed", "mean"].flatMap(kind => lines.filter(l => l.kind === kind));
    const svg = s("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary, tabindex: 0},
      s("clipPath", {id: clip},
        s("rect", {x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top})),
      drawAxes(spec, to, box, ranges, height, width),
      s("g", {"clip-path": `url(#${clip})`, fill: "none", "stroke-linejoin": "round"},
        inOrder.map(line => drawLine(spec, line, to))),
      band, cursor);
    view = {svg, to, x0, x1, width, lines, means, cursor, band};
    holder.replaceChildren(svg);
    listen(svg);
  }

  function read(x) {
    const better = ([, a], [, b]) => a === b ? 0 : isBetter(spec.metric, a, b) ? -1 : 1;
    const values = view.means.map(l => [l.entrant, valueAt(l.xs, l.ys, x)]).filter(v => isNumber(v[1])).sort(better);
    tip.replaceChildren(
      h("strong", {}, isTime() ? xLabel(x) : `${xLabel(x)} ${unitName}`),
      ...values.map(([e, y]) =>
        h("div", {}, h("span", {}, swatch(e), e.name), h("span", {}, spec.zero ? signed(y, 4) : fixed(y)))));
    tip.hidden = false;
    const u = view.to.x(x), share = u / view.width;
    tip.style.left = share < .5 ? `calc(${share * 100}% + 16px)` : "auto";
    tip.style.right = share < .5 ? "auto" : `calc(${(1 - share) * 100}% + 16px)`;
    for (const end of ["x1", "x2"]) view.cursor.setAttribute(end, u);
    view.cursor.setAttribute("visibility", "visible");
    view.at = x;
  }

  function quiet() {
    tip.hidden = true;
    view?.cursor.setAttribute("visibility", "hidden");
  }

  function listen(svg) {
    const xOf = event => {
      const box = view.svg.getBoundingClientRect();
      return view.to.xOf((event.clientX - box.left) / box.width * view.width);
    };
    let from = null;  // where dragging began
    svg.addEventListener("pointerdown", e => { from = xOf(e); svg.setPointerCapture(e.pointerId); });
    svg.addEventListener("pointermove", e => {
      const x = xOf(e);
      read(x);
      if (from === null) return;
      view.band.setAttribute("x", Math.min(view.to.x(from), view.to.x(x)));
      view.band.setAttribute("width", Math.abs(view.to.x(x) - view.to.x(from)));
      view.band.setAttribute("visibility", "visible");
    });
    svg.addEventListener("pointerup", e => {
      const x = xOf(e), start = from;
      from = null;
      const isDrag = start !== null && Math.abs(view.to.x(x) - view.to.x(start)) > 8;
      if (isDrag) zoom([Math.min(x, start), Math.max(x, start)]);
      else read(x);
    });
    svg.addEventListener("pointercancel", () => { from = null; view.band.setAttribute("visibility", "hidden"); });
    svg.addEventListener("pointerleave", quiet);
    svg.addEventListener("blur", quiet);
    svg.addEventListener("dblclick", () => zoom(null));
    svg.addEventListener("keydown", e => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
      if (!step) return;
      e.preventDefault();
      const x = (view.at ?? view.x0) + step * (view.x1 - view.x0) / 50;
      read(Math.min(view.x1, Math.max(view.x0, x)));
    });
  }

  return h("figure", {class: "card", style: "margin:0 0 16px"},
    h("div", {class: "head"}, h("h3", {}, spec.title), saveButtons(spec.title, () => view)),
    h("p", {class: "hint"}, spec.hint), holder, tip);
}
