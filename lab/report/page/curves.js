// The section of curves: its controls, and a chart for each kind of curve.
import {h, table, swatch, select} from "./elements.js";
import {isNumber, spread, fixed, plusMinus, whole, capital} from "./numbers.js";
import {data, entrants, counted, charts, metrics, unitName, digitsOf, trainCurve, measuredCurve, meanCurve, valueAt}
  from "./data.js";
import {chart} from "./chart.js";
import {state, redraw, zoom, onZoom} from "./state.js";

const chosen = spec => state.choice[spec.name] ?? spec.choices[0].name;

// Lines of every entrant: raw curves where there are, each seed's, and the mean of the seeds.
//   curveOf(run): the curve {xs, ys} of which seeds and mean are shown
function entrantLines(curveOf, rawOf) {
  return entrants.flatMap(entrant => {
    const line = (run, kind, curve) =>
      ({entrant, seed: run.seed, kind, ...curve, diverged: kind !== "raw" && run.state === "diverged"});
    const showsSeeds = entrant.runs.length > 1 || !counted(entrant).length;
    return [
      ...rawOf && state.raw ? entrant.runs.map(r => line(r, "raw", rawOf(r))) : [],
      ...showsSeeds ? entrant.runs.map(r => line(r, "seed", curveOf(r))) : [],
      {entrant, kind: "mean", ...meanCurve(counted(entrant).map(curveOf))},
    ];
  });
}

// Smoothed training loss of each run less that of the same seed's run of the baseline.
function differenceLines() {
  return entrants.flatMap(entrant => {
    const base = entrants.find(e => e.name === data.groups[entrant.group].entrants[0]);
    if (base === entrant) return [];
    const seeds = counted(entrant).map(run => {
      const other = counted(base).find(r => r.seed === run.seed);
      if (!other) return null;
      const a = trainCurve(run, "ema", state.x), b = trainCurve(other, "ema", state.x);
      const xs = a.xs.filter(x => isNumber(valueAt(b.xs, b.ys, x)));
      const ys = xs.map(x => valueAt(a.xs, a.ys, x) - valueAt(b.xs, b.ys, x));
      return {entrant, seed: run.seed, kind: "seed", xs, ys};
    }).filter(Boolean);
    return [...seeds.length > 1 ? seeds : [], {entrant, kind: "mean", ...meanCurve(seeds)}];
  });
}

// A button each for the values of a setting of the charts.
function choice(label, key, values) {
  const press = value => {
    state[key] = value;
    if (key === "x") zoom(null);
    buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(values[i][0] === value)));
    redraw();
  };
  const buttons = values.map(([value, text]) => h("button",
    {type: "button", "aria-pressed": String(state[key] === value), onclick: () => press(value)}, text));
  return h("span", {class: "choice", role: "group", "aria-label": label}, label, buttons);
}

function legend() {
  const toggle = (entrant, button) => {
    const isOff = !state.off.delete(entrant.name);
    if (isOff) state.off.add(entrant.name);
    button.setAttribute("aria-pressed", String(!isOff));
    redraw();
  };
  const buttons = entrants.map(e => h("button",
    {type: "button", "aria-pressed": "true", onclick: event => toggle(e, event.currentTarget)}, swatch(e), e.name));
  return h("div", {class: "bar legend", role: "group", "aria-label": "Norms shown"}, buttons);
}

function controls() {
  const longest = () => Math.max(...data.runs.map(r => Math.max(...r.train[state.x].filter(isNumber), 0)), 0);
  const reset = h("button", {type: "button", disabled: "", onclick: () => zoom(null)}, "Reset zoom");
  onZoom(range => { reset.disabled = !range; });
  const choose = spec => select(spec.title, spec.choices.map(m => [m.name, m.title]), value => {
    state.choice[spec.name] = value;
    redraw();
  });
  return h("div", {class: "bar sticky"},
    choice("By", "x", [["units", unitName], ["seconds", "time"]]),
    choice("Loss axis", "y", [["linear", "linear"], ["log", "logarithmic"]]),
    choice("Raw", "raw", [[true, "shown"], [false, "hidden"]]),
    charts.filter(spec => spec.choices.length > 1).map(choose),
    h("span", {class: "choice"},
      h("button", {type: "button", onclick: () => zoom([longest() / 2, longest()])}, "Second half"), reset));
}

// Values of a chart's first choice at each time it was measured.
function valuesTable(spec) {
  const metric = spec.choices[0], digits = digitsOf(metric);
  const all = data.runs.flatMap(r => r.measured.map(m => m.units)).filter(isNumber);
  const times = [...new Set(all)].sort((a, b) => a - b);
  const curves = entrants.map(e => counted(e).map(r => measuredCurve(r, metric.name, spec, "units")));
  const rows = times.map(t => [whole(t), ...curves.map(runs => {
    const {mean, sd} = spread(runs.map(c => valueAt(c.xs, c.ys, t)));
    return [fixed(mean, digits), h("span", {class: "small"}, plusMinus(sd, digits))];
  })]).filter(row => row.slice(1).some(c => c[0] !== fixed(NaN)));
  const unit = metric.unit ? ` in ${metric.unit}` : "";
  return h("details", {class: "card"}, h("summary", {}, `${spec.title} as a table`),
    table(`Mean \u00b1 standard deviation over the runs of each norm${unit}.`,
      [{text: capital(unitName)}, ...entrants.map(e => ({text: e.name, num: 1}))], [{rows}], {class: "stack many"}));
}

function measuredChart(spec) {
  const direction = spec.metric.lower_is_better ? "lower is better" : "higher is better";
  const hint = spec.metric.unit ? `${capital(spec.metric.unit)}; ${direction}.` : `${capital(direction)}.`;
  const lines = () => entrantLines(run => measuredCurve(run, chosen(spec), spec, state.x));
  return [
    chart({title: spec.title, hint, metric: spec.metric, log: spec.metric.lower_is_better, dots: true, lines}),
    valuesTable(spec)];
}

function trainCharts() {
  const loss = metrics.find(m => m.name === data.smoothed_loss);
  if (!loss) return null;
  const unit = loss.unit ? `${capital(loss.unit)}. ` : "";
  const several = data.groups.filter(g => g.entrants.length > 1);
  const bases = [...new Set(several.map(g => g.entrants[0]))].join(" or ");
  return [
    chart({title: "Training loss", hint: `${unit}Faint: single batches; otherwise smoothed (moving average, 0.99).`,
           metric: loss, log: true,
           lines: () => entrantLines(r => trainCurve(r, "ema", state.x), r => trainCurve(r, "loss", state.x))}),
    several.length > 0 && chart({
      title: "Training loss against the first norm", zero: true, lines: differenceLines,
      metric: loss,
      hint: `Smoothed training loss minus that of ${bases} with the same seed; below 0 is better. The first tenth ` +
        "may leave the chart."})];
}

export function curves() {
  if (!data.runs.length) return null;
  const [training, against] = trainCharts() || [];
  return [
    h("h2", {}, "Curves"),
    h("p", {class: "hint"}, "Thick: mean of the seeds. Thin: each seed. A cross marks a run that diverged. Drag " +
      "across a chart to zoom into all of them, double-click to reset; in a focused chart the left and right arrow " +
      "keys move the read-out."),
    controls(), legend(), training, charts.map(measuredChart), against];
}
