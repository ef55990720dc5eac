// What was done, on what, and how to do it again.
import {h, table, breakable} from "./elements.js";
import {data, entrants} from "./data.js";

function settingsOf(toml) {
  return new Map(toml.split("\n").map(line => line.match(/^(\S+) = (.*)$/)).filter(Boolean).map(m => [m[1], m[2]]));
}

function entrantSettings(group) {
  const common = settingsOf(group.config), isOwn = ([key, value]) =>
    common.size && key !== "seed" && key !== "data_seed" && common.get(key) !== value;
  const rows = entrants.filter(e => group.entrants.includes(e.name) && e.runs.length).map(e => {
    const own = [...settingsOf(e.runs[0].config)].filter(isOwn).map(([key, value]) => `${key} = ${value}`);
    return [breakable(e.name), own.join(", ") || "as below"];
  });
  return group.kind === "race" && rows.length > 0 && h("div", {style: "margin-top:16px"},
    table("Settings of each entrant that differ from the recipe.", [{text: "Norm"}, {text: "Settings"}], [{rows}]));
}

function commandOf(group) {
  if (!group.command) return h("p", {class: "small"}, "race.json is missing, so the command is not known.");
  const file = group.kind === "race" ? "race.toml" : "config.toml";
  const href = "data:text/plain;charset=utf-8," + encodeURIComponent(group.config);
  return [
    h("p", {}, "Save ", group.config ? h("a", {download: file, href}, file) : file, ", then:"),
    h("pre", {class: "wrap"}, group.command)];
}

export function configuration() {
  if (!data.groups.length) return null;
  return [
    h("h2", {id: "configuration"}, "Configuration and how to run it again"),
    data.groups.map(group => h("div", {class: "card"},
      h("h3", {}, group.name), h("p", {class: "small"}, group.dir), commandOf(group), entrantSettings(group),
      h("details", {}, h("summary", {}, "All settings"), h("pre", {}, group.config || "Missing."))))];
}

export function machines() {
  const names = {cpu: "Processor", cores: "Cores", memory_gib: "Memory, GiB", os: "System", kernel: "Kernel",
                 compiler: "Compiler"};
  const list = machine => h("dl", {}, Object.entries(machine).map(([key, value]) =>
    [h("dt", {}, names[key] || key), h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))]));
  const raced = data.groups.filter(g => g.machine && typeof g.machine === "object");
  return [
    h("h2", {}, "Machine"),
    raced.map(g => h("div", {class: "card"}, h("h3", {}, g.name), list(g.machine))),
    h("div", {class: "card"}, h("h3", {}, "This page was written on"), list(data.machine))];
}
