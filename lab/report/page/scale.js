// Axes of charts: where ticks stand and how values become positions.
import {isNumber} from "./numbers.js";
import {valueAt} from "./data.js";

export function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(m => m * power >= rough) * power, out = [];
  if (!(rough > 1e-12 * Math.max(Math.abs(low), Math.abs(high)))) return out;  // finer than the numbers are
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) out.push(+(k * step).toPrecision(12));
  return out;
}

// In whole minutes or hours where the range is long.
export function timeTicks(low, high, count) {
  const unit = high > 7200 ? 3600 : high >= 120 ? 60 : 1;
  return ticks(low / unit, high / unit, count).map(t => t * unit);
}

// Of a logarithmic axis: 1, 2 and 5 of each power of ten where it spans more than one.
export function logTicks(low, high) {
  if (high / low <= 10) return ticks(low, high, 6);
  const powers = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); ++k) powers.push(k);
  return powers.flatMap(k => [1, 2, 5].map(m => m * 10 ** k)).filter(v => v >= low && v <= high);
}

// The ranges [x0, x1, y0, y1] that lines need. `range` is a chosen range of x, if any; with `zero` the value 0 is
// shown.
export function extent(lines, range, zero) {
  const xs = lines.flatMap(l => l.xs.length ? [l.xs[0], l.xs.at(-1)] : []);
  const [x0, x1] = range || [Math.min(0, ...xs), Math.max(...xs)];
  // A difference is large before the runs have learned anything; that would flatten all the rest.
  const from = zero && !range ? x0 + .1 * (x1 - x0) : x0;
  const ys = lines.flatMap(l => {
    const ends = [from, x1].map(x => valueAt(l.xs, l.ys, x)).filter(isNumber);
    const seen = l.ys.filter((_, i) => l.xs[i] >= from && l.xs[i] <= x1).concat(ends);
    if (l.kind !== "raw" || !seen.length) return seen;
    seen.sort((a, b) => a - b);  // single outliers of the raw curve are cut
    return [seen[Math.floor(.01 * (seen.length - 1))], seen[Math.ceil(.99 * (seen.length - 1))]];
  });
  if (zero) ys.push(0);
  return [x0, x1, ys.reduce((a, b) => Math.min(a, b), Infinity), ys.reduce((a, b) => Math.max(a, b), -Infinity)];
}

// Positions in a box {left, right, top, bottom} for values of these ranges.
export function scale([x0, x1, y0, y1], box, isLog) {
  const f = isLog ? Math.log : v => v, inverse = isLog ? Math.exp : v => v, span = f(y1) - f(y0);
  const pad = span > 1e-9 * Math.abs(f(y1)) ? span * .05 : Math.abs(f(y0)) * .01 || 1e-6;
  const low = f(y0) - pad, high = f(y1) + pad;
  return {
    x: v => box.left + (v - x0) / (x1 - x0) * (box.right - box.left),
    y: v => box.bottom - (f(v) - low) / (high - low) * (box.bottom - box.top),
    xOf: position => {
      const share = (position - box.left) / (box.right - box.left);
      return x0 + Math.min(1, Math.max(0, share)) * (x1 - x0);
    },
    yTicks: isLog ? logTicks(inverse(low), inverse(high)) : ticks(low, high, 6),
  };
}
