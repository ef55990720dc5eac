// What seednorm eval found, a column for each model.
import {h, table, breakable} from "./elements.js";
import {isNumber, kNone, mean, fixed, short, whole} from "./numbers.js";
import {data} from "./data.js";

const percent = value => fixed(100 * value, 1);

// Results of different metrics or numbers of documents are not comparable: a row for each.
//   [{key: [name, ...what keyOf gives], row: [result or {} for each model]}]
function resultRows(models, kind, keyOf) {
  const keyText = (name, result) => JSON.stringify([name, ...keyOf(result)]);
  const keys = [...new Set(models.flatMap(m => Object.entries(m[kind]).map(([name, r]) => keyText(name, r))))];
  return keys.map(key => {
    const name = JSON.parse(key)[0];
    const matching = m => m[kind][name] && keyText(name, m[kind][name]) === key ? m[kind][name] : {};
    return {key: JSON.parse(key), row: models.map(matching)};
  });
}

function bestOf(row, valueOf, pick) {
  const good = row.map(valueOf).filter(isNumber);
  return good.length > 1 ? pick(...good) : NaN;
}

function tasksTable(models, heads) {
  const tasks = resultRows(models, "tasks", r => [r.metric, r.docs, r.source]);
  const rows = tasks.map(({key: [task, metric, docs, source], row}) => {
    const top = bestOf(row, r => r.value, Math.max);
    const cell = r => ({
      text: isNumber(r.value) ? [percent(r.value), h("span", {class: "small"}, ` \u00b1 ${percent(r.stderr)}`)] : kNone,
      class: r.value === top ? "best" : ""});
    const name = [task, source && h("span", {class: "small"}, ` ${source}`)];
    return [name, metric ?? kNone, whole(docs), ...row.map(cell)];
  });
  const shared = tasks.filter(t => t.row.every(r => isNumber(r.value)));
  if (shared.length > 1) {
    const means = models.map((_, i) => percent(mean(shared.map(t => t.row[i].value))));
    rows.push([`Mean of ${shared.length}`, "", "", ...means]);
  }
  return rows.length > 0 && h("div", {class: "card"}, table(
    "Zero-shot tasks, in percent \u00b1 standard error; the highest of each task in bold. Chance is 50 with two " +
    "choices, 25 with four.",
    heads([{text: "Task"}, {text: "Metric"}, {text: "Documents", num: 1}]), [{rows}], {class: "stack models"}));
}

function setsTable(models, heads) {
  const rows = resultRows(models, "perplexity", r => [r.tokens]).map(({key: [set, tokens], row}) => {
    const low = bestOf(row, r => r.loss, Math.min);
    const cell = r => ({
      text: isNumber(r.loss) ? [fixed(r.loss), h("span", {class: "small"}, ` (${short(r.ppl)})`)] : kNone,
      class: r.loss === low ? "best" : ""});
    return [set, whole(tokens), ...row.map(cell)];
  });
  return rows.length > 0 && h("div", {class: "card"}, table(
    "Loss in nats per token, with the perplexity in brackets; the lowest of each set in bold.",
    heads([{text: "Set"}, {text: "Tokens", num: 1}]), [{rows}], {class: "stack models"}));
}

export function evaluations() {
  const models = data.evaluations;
  if (!models.length) return null;
  const heads = first => [...first, ...models.map(m => ({text: breakable(m.name), label: m.name, num: 1}))];
  const describe = m => [h("dt", {}, breakable(m.name)),
                         h("dd", {}, `${m.model || m.file}, tokenizer ${m.tokenizer || "unknown"}`)];
  return [
    h("h2", {}, "Evaluations"), tasksTable(models, heads), setsTable(models, heads),
    h("div", {class: "card"}, h("h3", {}, "Models"), h("dl", {class: "models"}, models.map(describe)))];
}
