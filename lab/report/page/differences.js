// Paired differences of two entrants with their intervals.
import {h, s, table, breakable} from "./elements.js";
import {isNumber, kNone, fixed, signed, pValue} from "./numbers.js";
import {data, entrants} from "./data.js";

const kSignificant = 0.05;

// A difference and its interval beside zero.
function forest(p, limit) {
  const x = v => 90 + 80 * v / limit, [low, high] = p.ci95 || [];
  const label = fixed(p.mean_diff) + (isNumber(low) ? `, interval from ${fixed(low)} to ${fixed(high)}` : "");
  const color = entrants.find(e => e.name === p.b)?.color || "var(--ink)";
  return s("svg", {viewBox: "0 0 180 22", width: 180, height: 22, role: "img", "aria-label": label},
    s("line", {x1: 90, x2: 90, y1: 0, y2: 22, stroke: "var(--soft)", "stroke-dasharray": "2 2"}),
    isNumber(low) && s("line", {x1: Math.max(2, x(low)), x2: Math.min(178, x(high)), y1: 11, y2: 11,
                                stroke: "var(--ink)", "stroke-width": 2}),
    s("circle", {cx: x(p.mean_diff), cy: 11, r: 4.5, fill: color}));
}

function pairVerdict(p, metric) {
  const [low, high] = p.ci95 || [];
  if (!isNumber(low) || !isNumber(high)) return {text: "no interval (one pair of runs)"};
  if (low <= 0 && high >= 0) return {text: "includes 0: no difference shown"};
  const better = (high < 0) === metric.lower_is_better ? p.b : p.a;
  if (isNumber(p.p_holm) && !(p.p_holm < kSignificant)) {
    return {text: "excludes 0, but not once corrected for all pairs"};
  }
  return {text: `excludes 0: ${better} is better`, isShown: true};
}

// The largest noise floor of the group in this metric; NaN without one.
function floorOf(group, metric) {
  const floors = (group.noise || []).filter(e => e.metric === metric && isNumber(e.floor)).map(e => e.floor);
  return floors.length ? Math.max(...floors) : NaN;
}

function pairRow(p, metric, limit, hasP, floor) {
  const [low, high] = p.ci95 || [], isKnown = isNumber(low) && isNumber(high), half = (high - low) / 2;
  const digits = half > 0 ? Math.min(7, Math.max(2, 1 - Math.floor(Math.log10(half)))) : 4;
  const found = pairVerdict(p, metric);
  return [
    breakable(`${p.b} \u2212 ${p.a}`),
    signed(p.mean_diff, digits),
    isKnown ? `${signed(low, digits)} to ${signed(high, digits)}` : kNone,
    String(p.n ?? kNone),
    ...hasP ? [pValue(p.p), pValue(p.p_holm)] : [],
    ...floor === undefined ? [] : [fixed(floor, digits)],
    forest(p, limit),
    {text: breakable(found.text), class: "long" + (found.isShown ? " best" : "")},
  ];
}

function metricOf(group, name) {
  return group.metrics.find(m => m.name === name) || {name, title: name, unit: "", lower_is_better: true};
}

function pairsTable(group, pairs, caption) {
  const hasP = pairs.some(p => isNumber(p.p) || isNumber(p.p_holm));
  const hasNoise = group.noise?.length > 0;
  const heads = [{text: "Difference"}, {text: "Mean", num: 1}, {text: "95% interval", num: 1},
                 {text: "n", label: "n (pairs of runs)", num: 1},
                 ...hasP ? [{text: "p", num: 1}, {text: "p, corrected", num: 1}] : [],
                 ...hasNoise ? [{text: "Noise floor", num: 1}] : [],
                 {text: "Beside 0"}, {text: "The interval"}];
  const parts = [...new Set(pairs.map(p => p.metric))].map(name => {
    const part = pairs.filter(p => p.metric === name), metric = metricOf(group, name);
    const all = part.flatMap(p => [p.mean_diff, ...(p.ci95 || [])]).filter(isNumber).map(Math.abs);
    const limit = 1.05 * Math.max(...all) || 1;
    const side = metric.lower_is_better ? "left" : "right";
    const title = `${metric.title}${metric.unit ? `, ${metric.unit}` : ""}; ${side} of 0 is better`;
    return {name: title, rows: part.map(p => pairRow(p, metric, limit, hasP,
      hasNoise ? floorOf(group, p.metric) : undefined))};
  });
  return table(caption, heads, parts);
}

// What the number of pairs means for the statements of the table.
function correctionNote(group) {
  const k = group.entrants.length, pairs = k * (k - 1) / 2;
  if (pairs < 2 || !group.pairs.some(p => isNumber(p.ci95?.[0]))) return null;
  const corrected = group.pairs.some(p => isNumber(p.p_holm));
  return h("p", {class: "hint"},
    `With ${k} norms there are ${pairs} pairs, and each gets an interval. Each interval by itself wrongly excludes ` +
    `0 in 5% of races, so more than 5% of races have at least one wrong statement among the ${pairs}. ` +
    (corrected
      ? "The corrected p (Holm\u2019s method) allows for that: only where it is below 0.05 is a norm called better."
      : "These intervals are not corrected for the number of pairs."));
}

// What the noise floor is.
function noiseNote(group) {
  if (!group.noise?.length) return null;
  const pairs = [...new Set(group.noise.map(e => `${e.b} and ${e.a}`))];
  return h("p", {class: "hint"},
    `${pairs.join("; ")} differ in nothing but the seed of their weights, and measure the noise: two equal norms ` +
    "differ by more than the noise floor in 5% of races.");
}

function intervalNote(group) {
  if (!group.interval_command) return null;
  return h("div", {class: "card"}, h("p", {style: "margin-top:0"},
    "One seed gives no interval: nothing says how much of a difference is chance. Three seeds do. Save ",
    h("a", {href: "#configuration"}, "race.toml"), " from below, then:"),
    h("pre", {class: "wrap"}, group.interval_command));
}

function groupDifferences(group) {
  const known = group.pairs.filter(p => isNumber(p.mean_diff));
  if (!known.length) return intervalNote(group);
  const base = group.entrants[0];
  const first = known.filter(p => p.a === base), others = known.filter(p => p.a !== base);
  const caption = `Differences from ${base}, paired by seed: the same data, and the same initial weights where the ` +
    "models share them. Intervals by Student\u2019s t.";
  return [intervalNote(group), h("div", {class: "card"},
    data.groups.length > 1 && h("h3", {}, group.name),
    correctionNote(group),
    noiseNote(group),
    group.tuned?.length > 0 &&
      pairsTable(group, group.tuned, "Differences with each norm at its best learning rate."),
    first.length > 0 && pairsTable(group, first, caption),
    others.length > 0 && h("details", first.length ? {} : {open: ""},
      h("summary", {}, `The other ${others.length} differences`),
      pairsTable(group, others, "Differences of the other pairs, paired by seed.")))];
}

export function differences() {
  const shown = data.groups.map(groupDifferences).filter(Boolean);
  return shown.length ? [h("h2", {}, "Differences"), shown] : null;
}
