// Numbers: their mean and spread, and how they are written.

export const isNumber = Number.isFinite;
export const kNone = "\u2013";

export function mean(list) {
  const good = list.filter(isNumber);
  return good.length ? good.reduce((a, b) => a + b, 0) / good.length : NaN;
}

// Of the finite values: their number, mean and standard deviation (NaN with fewer than two).
export function spread(list) {
  const good = list.filter(isNumber), center = mean(good);
  const squares = good.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return {n: good.length, mean: center, sd: good.length > 1 ? Math.sqrt(squares / (good.length - 1)) : NaN};
}

const withMinus = text => text.replace("-", "\u2212");

export const fixed = (value, digits = 4) => isNumber(value) ? withMinus(value.toFixed(digits)) : kNone;

export const signed = (value, digits) =>
  isNumber(value) ? (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits) : kNone;

// The standard deviation beside a mean; empty without one.
export const plusMinus = (sd, digits = 4) => isNumber(sd) ? ` \u00b1 ${fixed(sd, digits)}` : "";

export const whole = value => isNumber(value) ? Math.round(value).toLocaleString("en") : kNone;

export const tickLabel = value => withMinus(String(+value.toPrecision(6)));

export function pValue(p) {
  if (!isNumber(p)) return kNone;
  return p < 1e-4 ? "< 0.0001" : p.toFixed(p < .01 ? 4 : 3);
}

// 12345 as 12.3k.
export function short(value) {
  if (!isNumber(value)) return kNone;
  if (value && Math.abs(value) < 1e-3) return withMinus(value.toExponential(1));
  const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const [size, unit] = units.find(u => Math.abs(value) >= u[0]) || [1, ""];
  return withMinus(String(+(value / size).toPrecision(3))) + unit;
}

export function duration(seconds) {
  if (!isNumber(seconds)) return kNone;
  if (seconds < 120) return +seconds.toPrecision(3) + " s";
  return seconds < 7200 ? +(seconds / 60).toPrecision(3) + " min" : +(seconds / 3600).toPrecision(3) + " h";
}

export const capital = text => text.charAt(0).toUpperCase() + text.slice(1);
