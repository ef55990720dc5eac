// What the models make at a step, side by side: texts and images.
import {h, select} from "./elements.js";
import {data, entrants} from "./data.js";
import {whole} from "./numbers.js";

function sampleItem(sample, of) {
  if (!sample.image) {
    return [sample.title && h("p", {class: "small"}, sample.title), h("pre", {class: "wrap"}, sample.text)];
  }
  const alt = `${sample.title || "Sample"} of ${of}`;
  return h("figure", {class: "sample"},
    h("img", {src: "data:image/png;base64," + sample.image, alt}),
    (sample.title || sample.text) && h("figcaption", {}, [sample.title, sample.text].filter(Boolean).join(": ")));
}

export function samples() {
  const runs = entrants.map(e => e.runs.find(r => r.samples.length)).filter(Boolean);
  if (!runs.length) return null;
  const steps = [...new Set(runs.flatMap(r => r.samples.map(x => x.step)))].sort((a, b) => b - a);
  const hasImages = data.runs.some(r => r.samples.some(x => x.items.some(i => i.image)));
  const holder = h("div", {class: "grid", style: hasImages ? "--column: 260px" : null});
  const show = step => holder.replaceChildren(...runs.map(r => {
    const name = `${r.entrant}, seed ${r.seed}`, found = r.samples.find(x => x.step === +step);
    return h("div", {class: "card", style: "margin:0"}, h("h3", {}, name),
      found ? found.items.map(x => sampleItem(x, name)) : h("p", {class: "hint"}, "No sample at this step."));
  }));
  show(steps[0]);
  return [
    h("h2", {}, "Samples"),
    h("p", {class: "hint"}, "What each model makes of the same input, with the first seed that has samples."),
    h("div", {class: "bar"}, select("Step", steps.map(x => [x, whole(x)]), show)),
    holder];
}
