// Puts the page together.
import {h} from "./elements.js";
import {data} from "./data.js";
import {redraw} from "./state.js";
import {results} from "./results.js";
import {differences} from "./differences.js";
import {statistics} from "./statistics.js";
import {curves} from "./curves.js";
import {norms} from "./norms.js";
import {classes, firstBatches} from "./pictures.js";
import {samples} from "./samples.js";
import {evaluations} from "./evaluations.js";
import {configuration, machines} from "./setup.js";

const notes = data.notes.length && h("div", {class: "card notes"},
  h("strong", {}, "What is missing here"), h("ul", {}, data.notes.map(n => h("li", {}, n))));
const sections = [
  notes, data.groups.length && [h("h2", {}, "Results"), results()], differences(), statistics(), curves(), norms(),
  classes(), samples(), firstBatches(), evaluations(), configuration(), machines()];
document.getElementById("title").textContent = data.title;
document.getElementById("answer").textContent = data.answer;
document.getElementById("main").replaceChildren(...sections.flat(Infinity).filter(Boolean));
document.getElementById("footer")
  .append(`Written ${data.written} by seednorm ${data.version}. Everything is in this one file.`);
redraw();

let widthDrawn = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === widthDrawn) return;
  widthDrawn = innerWidth;
  redraw();
});
document.documentElement.setAttribute("data-ready", "yes");
