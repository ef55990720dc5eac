// What models of pictures are trained on and, for classifiers, how they do in each class.
import {h, table, breakable} from "./elements.js";
import {data, entrants, counted} from "./data.js";
import {fixed, isNumber, mean, whole} from "./numbers.js";

const kMaxClasses = 100;

export function firstBatches() {
  const groups = data.groups.filter(g => g.first_batch);
  if (!groups.length) return null;
  const figure = g => h("figure", {class: "card sample"},
    h("img", {src: "data:image/png;base64," + g.first_batch, alt: `First pictures of ${g.name}`}),
    h("figcaption", {}, `${g.name}: the first pictures of the first batch, as the model sees them.`));
  return [h("h2", {}, "What training sees"), h("div", {class: "grid", style: "--column: 260px"}, groups.map(figure))];
}

const percentOf = ([images, right]) => images ? 100 * right / images : NaN;

// Mean over an entrant's runs of what each got right in a class, in percent.
const accuracyOf = (runs, name) => mean(runs.map(r => percentOf(r.classes.classes[name] || [0, 0])));

function spreadOf(values) {
  const good = values.filter(isNumber);
  return good.length ? Math.max(...good) - Math.min(...good) : -1;
}

// A row for each class; of many, those in which the entrants differ most.
export function classes() {
  const columns = entrants.map(e => ({entrant: e, runs: counted(e).filter(r => r.classes)})).filter(c => c.runs.length);
  if (!columns.length) return null;
  const sizes = new Map();
  for (const run of columns.flatMap(c => c.runs)) {
    for (const [name, [images]] of Object.entries(run.classes.classes)) {
      sizes.set(name, Math.max(images, sizes.get(name) || 0));
    }
  }
  const all = [...sizes.keys()].map(name => ({name, values: columns.map(c => accuracyOf(c.runs, name))}));
  const shown = all.length <= kMaxClasses ? all
    : [...all].sort((a, b) => spreadOf(b.values) - spreadOf(a.values)).slice(0, kMaxClasses);
  const rows = shown.map(({name, values}) => {
    const good = values.filter(isNumber), top = good.length > 1 ? Math.max(...good) : NaN;
    return [name, whole(sizes.get(name)),
            ...values.map(v => ({text: fixed(v, 1), class: v === top ? "best" : ""}))];
  });
  const caption = "Acc@1 in percent by class, at the last measurement, mean over seeds; the highest in bold." +
    (shown.length < all.length ? ` The ${kMaxClasses} of ${all.length} classes in which they differ most.` : "");
  const heads = [{text: "Class"}, {text: "Pictures", num: 1},
                 ...columns.map(c => ({text: breakable(c.entrant.name), label: c.entrant.name, num: 1}))];
  return [h("h2", {}, "Classes"), h("div", {class: "card"}, table(caption, heads, [{rows}], {class: "stack models"}))];
}
