// What the page shows: entrants with their runs, metrics, and the curves of a run. lab/report/page_data.h says what
// the data are.
import {isNumber, mean, capital} from "./numbers.js";

export const data = JSON.parse(document.getElementById("data").textContent);

// Each entrant has a colour and, beyond eight of them, a dash.
export const entrants = [...new Set(data.groups.flatMap(g => g.entrants))].map((name, i) => ({
  name,
  color: `var(--c${i % 8})`,
  dash: ["", "6 3", "2 2"][Math.floor(i / 8) % 3],
  group: data.groups.findIndex(g => g.entrants.includes(name)),
  runs: data.runs.filter(r => r.entrant === name).sort((a, b) => a.seed - b.seed),
}));

// Runs whose mean is worth a line: the finished ones, or those under way where none is.
export function counted(entrant) {
  const done = entrant.runs.filter(r => r.state === "finished");
  return done.length ? done : entrant.runs.filter(r => r.state === "unfinished");
}

// What is counted, as on the axis of curves: "tokens", or "units" where groups count different things.
const units = [...new Set(data.groups.map(g => g.unit + "s"))];
export const unitName = units.length === 1 ? units[0] : "units";

export const metricsOf = group => data.groups[group].metrics;
// All metrics of the page, each once.
export const metrics = data.groups.flatMap(g => g.metrics)
  .filter((m, i, all) => all.findIndex(x => x.name === m.name) === i);

export const digitsOf = metric => metric.unit === "%" ? 2 : 4;
export const isBetter = (metric, a, b) => metric.lower_is_better ? a < b : a > b;
export const best = (metric, values) =>
  values.filter(isNumber).reduce((a, b) => isBetter(metric, a, b) ? a : b, NaN) || NaN;

// Charts of what was measured on the way: one for each name that metrics give for their chart.
//   {name, title, unit, choices: [metric]}; a choice "mean" is the mean of all where no metric is the chart's own
const isCurve = metric => metric.name !== data.smoothed_loss && !/_equal_(time|flops)$/.test(metric.name);
export const charts = [...new Set(metrics.filter(isCurve).map(m => m.chart))].map(name => {
  const all = metrics.filter(m => m.chart === name && isCurve(m)), own = all.find(m => m.name === name);
  const others = all.filter(m => m !== own);
  const mean = {...all[0], name: "mean", title: "mean of all"};
  return {
    name,
    title: own ? own.title : capital(name),
    metric: own || all[0],
    choices: own ? [{...own, title: "mean of all"}, ...others] : others.length > 1 ? [mean, ...others] : others,
    parts: others,
  };
});

// The value of a curve at x, between its points; NaN outside of them.
export function valueAt(xs, ys, x) {
  let low = 0, high = xs.length - 1;
  if (high < 0 || x < xs[0] || x > xs[high]) return NaN;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  if (xs[high] === xs[low] || x === xs[low]) return ys[low];
  return ys[low] + (x - xs[low]) / (xs[high] - xs[low]) * (ys[high] - ys[low]);
}

function curveOf(points) {
  const good = points.filter(p => isNumber(p[0]) && isNumber(p[1]));
  return {xs: good.map(p => p[0]), ys: good.map(p => p[1])};
}
// A column of the training curve ("loss", "ema") against "units" or "seconds".
export const trainCurve = (run, column, x) => curveOf(run.train[column].map((y, i) => [run.train[x][i], y]));

// A measured metric, or the mean of a chart's metrics where all are known.
export function measuredCurve(run, metric, chart, x) {
  const valueOf = values => {
    if (metric !== "mean") return values[metric];
    const all = chart.parts.filter(m => m.name in values).map(m => values[m.name]);
    return all.every(isNumber) ? mean(all) : NaN;
  };
  return curveOf(run.measured.map(m => [m[x], valueOf(m.values)]));
}

export function meanCurve(curves) {
  curves = curves.filter(c => c.xs.length);
  if (!curves.length) return {xs: [], ys: []};
  const from = Math.max(...curves.map(c => c.xs[0])), to = Math.min(...curves.map(c => c.xs.at(-1)));
  const xs = curves[0].xs.filter(x => x >= from && x <= to);
  if (xs.length && xs.at(-1) < to) xs.push(to);
  return {xs, ys: xs.map(x => mean(curves.map(c => valueAt(c.xs, c.ys, x))))};
}
