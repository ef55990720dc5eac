// Saves a chart as a file: SVG and PNG as it is shown, CSV with all points of the curves that are shown.
import {h, s} from "./elements.js";
import {unitName} from "./data.js";
import {state} from "./state.js";

const kStyled = ["fill", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linejoin",
                 "fill-opacity", "font-family", "font-size", "text-anchor", "visibility"];
const kScale = 2;  // pixels of a PNG per pixel of the page

function download(name, blob) {
  const url = URL.createObjectURL(blob), link = h("a", {download: name, href: url});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// A file cannot see the page's style: what it says is written into the elements.
function withStyle(original) {
  const copy = original.cloneNode(false);
  if (original.nodeType !== Node.ELEMENT_NODE) return copy;
  const style = getComputedStyle(original);
  copy.removeAttribute("style");
  copy.removeAttribute("tabindex");
  if (!["svg", "clipPath"].includes(original.localName)) {
    for (const property of kStyled) copy.setAttribute(property, style.getPropertyValue(property));
  }
  copy.append(...[...original.childNodes].map(withStyle));
  return copy;
}

// The chart with its title and a legend above it, on a background.
function standalone(title, view) {
  const page = getComputedStyle(document.documentElement), color = name => page.getPropertyValue(name).trim();
  const [, , width, height] = view.svg.getAttribute("viewBox").split(" ").map(Number);
  const text = {"font-family": "system-ui, 'DejaVu Sans', sans-serif", fill: color("--ink")};
  const shown = view.lines.map(l => l.entrant).filter((e, i, all) => all.indexOf(e) === i);
  const legend = shown.flatMap((entrant, i) => {
    const y = 44 + 18 * i, stroke = color(entrant.color.slice(4, -1));  // of "var(--c0)"
    const dash = entrant.dash || null;
    return [s("line", {x1: 16, x2: 40, y1: y, y2: y, stroke, "stroke-width": 2.4, "stroke-dasharray": dash}),
            s("text", {...text, x: 48, y: y + 4, "font-size": 12}, entrant.name)];
  });
  const top = 46 + 18 * shown.length, total = top + height;
  const drawing = withStyle(view.svg);
  for (const name of ["role", "aria-label"]) drawing.removeAttribute(name);
  for (const [key, value] of Object.entries({x: 0, y: top, width, height})) drawing.setAttribute(key, value);
  return s("svg", {xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${total}`, width, height: total},
    s("rect", {width, height: total, fill: color("--card")}),
    s("text", {...text, x: 16, y: 24, "font-size": 16, "font-weight": 600}, title),
    legend, drawing);
}

const svgText = (title, view) => new XMLSerializer().serializeToString(standalone(title, view));

function savePng(name, title, view) {
  const image = new Image();
  image.onload = () => {
    const canvas = h("canvas", {width: kScale * image.width, height: kScale * image.height});
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => download(name, blob), "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svgText(title, view));
}

const csvCell = text => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function csvText(title, view) {
  const x = state.x === "seconds" ? "seconds" : unitName;
  const rows = view.lines.flatMap(l =>
    l.xs.map((value, i) => [l.entrant.name, l.seed ?? "", l.kind, String(value), String(l.ys[i])]));
  return [["norm", "seed", "curve", x, title], ...rows].map(row => row.map(csvCell).join(",") + "\r\n").join("");
}

// Buttons for the chart that `viewOf` gives: {svg, lines}, or null where nothing is shown.
export function saveButtons(title, viewOf) {
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  const save = {
    SVG: view => download(name + ".svg", new Blob([svgText(title, view)], {type: "image/svg+xml"})),
    PNG: view => savePng(name + ".png", title, view),
    CSV: view => download(name + ".csv", new Blob([csvText(title, view)], {type: "text/csv"})),
  };
  const press = run => {
    const view = viewOf();
    if (view) run(view);
  };
  const buttons = Object.entries(save).map(([kind, run]) => h("button",
    {type: "button", "aria-label": `Save ${title} as ${kind}`, onclick: () => press(run)}, kind));
  return h("span", {class: "save", role: "group", "aria-label": `Save ${title} as`}, buttons);
}
