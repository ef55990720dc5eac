// Inside the norms: a map for each statistic of a run, a row for each norm and a column for each time.
import {h, s, select} from "./elements.js";
import {isNumber, short} from "./numbers.js";
import {data} from "./data.js";

const kTitles = {saturated: "Saturated share of u", mean_u: "Mean of u", std_u: "Spread of u", alpha: "|alpha|",
                 beta: "|beta|"};
const kCell = 14;  // height of a row

const statTitle = stat => kTitles[stat] || stat.replaceAll("_", " ");

// Norms that have the statistic, in order of their layers: [{name, values at each time}].
function normRows(lines, stat) {
  const names = [...new Set(lines.flatMap(l => Object.keys(l.norms)))];
  names.sort((a, b) => a.localeCompare(b, "en", {numeric: true}));
  return names
    .map(n => ({name: n.replace(/^(model\.)?layers\./, ""), values: lines.map(l => l.norms[n]?.[stat])}))
    .filter(row => row.values.some(isNumber));
}

function heat(run, lines, stat) {
  const rows = normRows(lines, stat), all = rows.flatMap(r => r.values).filter(isNumber);
  const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
  const left = 8 + 6.6 * Math.max(...rows.map(r => r.name.length));
  const width = innerWidth < 640 ? Math.max(310, left + 120) : Math.max(500, left + 200);
  const size = (width - left) / lines.length, height = rows.length * kCell + 24;
  const out = h("span", {class: "small", role: "status"}, `from ${short(low)} to ${short(high)}`);
  const color = v => {
    const share = (100 * (v - low) / (high - low || 1)).toFixed(1);
    return `fill:color-mix(in oklab, var(--heat1) ${share}%, var(--heat0))`;
  };
  const cell = (row, y, value, x) => isNumber(value) && s("rect", {
    x: left + x * size, y: y * kCell, width: size + .5, height: kCell - 1, style: color(value),
    onpointerenter: () => { out.textContent = `${row.name}, step ${lines[x].step}: ${short(value)}`; }});
  const label = `${statTitle(stat)} of ${run} by norm and step, from ${short(low)} to ${short(high)}`;
  return h("figure", {class: "card", style: "margin:0"},
    h("h3", {}, statTitle(stat), " ", out),
    s("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, style: "cursor:default"},
      rows.map((row, y) => [
        s("text", {x: left - 6, y: y * kCell + 11, "text-anchor": "end", style: "font-size:11px"}, row.name),
        row.values.map((value, x) => cell(row, y, value, x))]),
      s("text", {x: left, y: height - 6}, `step ${lines[0].step}`),
      s("text", {x: width, y: height - 6, "text-anchor": "end"}, `step ${lines.at(-1).step}`)));
}

export function norms() {
  const runs = data.runs.filter(r => r.norms.length);
  if (!runs.length) return null;
  const holder = h("div", {class: "grid", style: "--column: 440px"});
  const show = i => {
    const lines = runs[i].norms;
    const numbers = lines.flatMap(l => Object.values(l.norms).flatMap(n => Object.keys(n).filter(k => isNumber(n[k]))));
    holder.replaceChildren(...[...new Set(numbers)].map(stat => heat(runs[i].entrant, lines, stat)));
  };
  show(0);
  return [
    h("h2", {}, "Inside the norms"),
    h("p", {class: "hint"}, "By layer, from the first step on the left to the last on the right. Darker means more; " +
      "in the dark scheme, lighter means more."),
    h("div", {class: "bar"}, select("Run", runs.map((r, i) => [i, `${r.entrant}, seed ${r.seed}`]), show)),
    holder];
}
