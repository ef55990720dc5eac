// Tables of results: a row for each entrant with means and spreads, its parts, and every run.
import {h, table, swatch, breakable} from "./elements.js";
import {isNumber, kNone, spread, fixed, plusMinus, whole, duration, capital} from "./numbers.js";
import {data, entrants, counted, metricsOf, digitsOf, best} from "./data.js";

// A mean with its standard deviation, and how many runs it is of where some lack it.
function meanText(values, digits) {
  const {n, mean, sd} = spread(values);
  if (!n) return kNone;
  return [fixed(mean, digits), h("span", {class: "small"}, plusMinus(sd, digits)),
          n < values.length && h("span", {class: "small"}, ` (n = ${n})`)];
}
const meanOf = (entrant, metric) => spread(counted(entrant).map(r => r.values[metric.name])).mean;

function meanCell(entrant, metric, rivals) {
  const values = counted(entrant).map(r => r.values[metric.name]);
  const means = rivals.filter(e => e.group === entrant.group).map(e => meanOf(e, metric)).filter(isNumber);
  const isBest = means.length > 1 && meanOf(entrant, metric) === best(metric, means);
  return {text: meanText(values, digitsOf(metric)), class: isBest ? "best" : ""};
}

// Entrants that can stand in one table: those of groups with the same metrics and unit.
function families() {
  const keys = data.groups.map(g => JSON.stringify([g.unit, g.metrics.map(m => m.name)]));
  return [...new Set(keys)].map(key => entrants.filter(e => keys[e.group] === key));
}

const headOf = metric => metric.unit ? [metric.title, h("span", {class: "small"}, ` ${metric.unit}`)] : metric.title;
const isMain = metric => !metric.name.includes("/");

function equalTimes(members) {
  const groups = [...new Set(members.map(e => data.groups[e.group]))].filter(g => isNumber(g.equal_time_s));
  if (!groups.length) return "";
  const times = groups.map(g => duration(g.equal_time_s) + (groups.length > 1 ? ` in ${g.name}` : ""));
  return ` At equal time: after ${times.join(", ")}, when the last run of the fastest norm had finished.`;
}

function equalFlops(members) {
  const groups = [...new Set(members.map(e => data.groups[e.group]))].filter(g => isNumber(g.equal_flops));
  if (!groups.length) return "";
  const counts = groups.map(g => g.equal_flops.toPrecision(3) + (groups.length > 1 ? ` in ${g.name}` : ""));
  return ` At equal FLOPs: after ${counts.join(", ")}, when the norm with the fewest had finished.`;
}

function entrantsTable(members) {
  const unit = data.groups[members[0].group].unit, shown = metricsOf(members[0].group).filter(isMain);
  const heads = [{text: "Norm"}, {text: "Runs", num: 1},
                 ...shown.map(m => ({text: headOf(m), label: m.title, num: 1})),
                 {text: `${capital(unit)}s per second`, num: 1}, {text: "Diverged", num: 1}];
  const rows = members.map(e => {
    const lost = e.runs.filter(r => r.state === "diverged").length;
    const open = e.runs.filter(r => r.state === "unfinished").length;
    const speed = spread(e.runs.map(r => r.units_per_s));
    return [
      [swatch(e), breakable(e.name)],
      [String(e.runs.length), open ? ` (${open} unfinished)` : ""],
      ...shown.map(m => meanCell(e, m, members)),
      [whole(speed.mean), isNumber(speed.sd) && h("span", {class: "small"}, ` \u00b1 ${whole(speed.sd)}`)],
      {text: lost ? `${lost} of ${e.runs.length}` : "none", class: lost ? "best" : ""},
    ];
  });
  const caption = "Mean \u00b1 standard deviation over the runs of each norm, without diverged ones; the best of " +
    "each column in bold." + equalTimes(members) + equalFlops(members);
  return table(caption, heads, [{rows}]);
}

// Final values of what has parts: validation sets, tasks.
function partsTable(members) {
  const all = metricsOf(members[0].group), parts = all.filter(m => !isMain(m));
  if (parts.length < 2) return null;
  const heads = [{text: "Part"}, ...members.map(e => ({text: e.name, num: 1}))];
  const rowOf = m => [m.title, ...members.map(e => meanCell(e, m, members))];
  const grouped = [...new Set(parts.map(m => m.chart))].map(chart => {
    const own = all.find(m => m.name === chart), unit = parts.find(m => m.chart === chart).unit;
    const name = (own ? own.title : capital(chart)) + (unit ? `, ${unit}` : "");
    return {name, rows: parts.filter(m => m.chart === chart).map(rowOf)};
  });
  return h("details", {class: "card"}, h("summary", {}, "Final values by part"),
    table("Mean \u00b1 standard deviation over the runs of each norm, without diverged ones.", heads, grouped,
      {class: "stack many"}));
}

function runsTable(members) {
  const unit = data.groups[members[0].group].unit, shown = metricsOf(members[0].group).filter(isMain);
  const heads = [{text: "Norm"}, {text: "Seed", num: 1}, {text: "Steps", num: 1},
                 ...shown.map(m => ({text: headOf(m), label: m.title, num: 1})),
                 {text: "Time trained", num: 1}, {text: `${capital(unit)}s per second`, num: 1}, {text: "State"}];
  const rows = members.flatMap(e => e.runs.map(r => [
    [swatch(e), breakable(e.name)], String(r.seed), whole(r.steps),
    ...shown.map(m => fixed(r.values[m.name], digitsOf(m))), duration(r.seconds), whole(r.units_per_s),
    r.state === "diverged" && isNumber(r.diverged_at) ? `diverged at step ${whole(r.diverged_at)}`
      : {blew_up: "blew up", stagnated: "stagnated", recovered: "recovered after a blow-up"}[r.convergence] || r.state,
  ]));
  return h("details", {class: "card"}, h("summary", {}, `Every run (${rows.length})`),
    table("Each run by itself; a run that diverged has no result.", heads, [{rows}]));
}

export function results() {
  return families().filter(members => members.length).map(members => [
    h("div", {class: "card"}, entrantsTable(members)), partsTable(members), runsTable(members)]);
}
