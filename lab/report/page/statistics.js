// What a race says beyond the differences at its end: how much sooner one norm is, how its lead changes, and the best
// learning rate of each norm.
import {h, table, breakable} from "./elements.js";
import {isNumber, kNone, fixed, signed} from "./numbers.js";
import {data} from "./data.js";

const titleOf = (group, name) => (group.metrics.find(m => m.name === name) || {title: name}).title;

const intervalText = (ends, write) =>
  ends && ends.every(isNumber) ? `${write(ends[0])} to ${write(ends[1])}` : kNone;

function estimatesTable(group, list, {caption, head, of, write, verdict}) {
  if (!list.length) return null;
  const heads = [{text: "Pair"}, {text: "Of"}, {text: head, num: 1}, {text: "95% interval", num: 1},
                 {text: "n", label: "n (pairs of runs)", num: 1}, {text: "The interval"}];
  const rows = list.map(e => [
    breakable(`${e.b} and ${e.a}`), of(e), write(e), intervalText(e.ci95, v => write({...e, value: v})),
    String(e.n ?? kNone), {text: verdict(e), class: "long"}]);
  return table(caption, heads, [{rows}]);
}

function ratioVerdict(e) {
  const [low, high] = e.ci95 || [];
  if (!isNumber(low) || !isNumber(high)) return "no interval (one pair of runs)";
  if (low <= 1 && high >= 1) return "includes 1: neither is shown to be sooner";
  return `excludes 1: ${high < 1 ? e.b : e.a} is sooner`;
}

function trendVerdict(e) {
  const [low, high] = e.ci95 || [];
  if (!isNumber(low) || !isNumber(high)) return "no interval (one pair of runs)";
  return low <= 0 && high >= 0 ? "includes 0: no trend shown" : "excludes 0";
}

function reachTable(group) {
  return estimatesTable(group, group.reach || [], {
    caption: "What the second norm of a pair needs to reach the worse one of the two final values, as a multiple of " +
      "what the first needs: below 1 the second is sooner. The mean is geometric.",
    head: "Ratio",
    of: e => `${titleOf(group, e.metric)}, ${e.of === "units" ? group.unit + "s" : e.of}`,
    write: e => fixed(e.value ?? e.ratio, 3),
    verdict: ratioVerdict,
  });
}

function trendTable(group) {
  return estimatesTable(group, group.trends || [], {
    caption: `How the difference of each pair, second minus first, changes when the ${group.unit}s double, over the ` +
      "last three quarters of the runs.",
    head: "Per doubling",
    of: e => titleOf(group, e.metric),
    write: e => signed(e.value ?? e.slope, 4),
    verdict: trendVerdict,
  });
}

function sweepTable(group) {
  if (!group.sweeps?.length) return null;
  const rows = group.sweeps.filter(e => isNumber(e.best)).map(e => [
    breakable(e.entrant), titleOf(group, e.metric), String(+e.best_lr.toPrecision(3)), fixed(e.best, 4),
    e.lrs.map((lr, i) => `${lr}: ${fixed(e.means[i], 4)}`).join(", "),
    {text: e.at_edge ? "at the edge of the sweep; sweep further" : "between swept rates", class: "long"}]);
  const caption = "Each norm at its best learning rate: the vertex of the parabola in log lr through the best swept " +
    "rate and its neighbours.";
  return table(caption, [{text: "Norm"}, {text: "Of"}, {text: "Best rate", num: 1}, {text: "Value there", num: 1},
    {text: "Mean at each rate"}, {text: "The best rate is"}], [{rows}]);
}

function groupStatistics(group) {
  const tables = [sweepTable(group), reachTable(group), trendTable(group)].filter(Boolean);
  if (!tables.length) return null;
  return h("details", {class: "card"},
    h("summary", {}, "How much sooner, trends" + (group.sweeps?.length ? ", and best learning rates" : "") +
      (data.groups.length > 1 ? `: ${group.name}` : "")),
    tables);
}

export const statistics = () => data.groups.map(groupStatistics).filter(Boolean);
