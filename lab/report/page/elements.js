// Elements. Text only ever becomes text nodes, so nothing that a user named is read as HTML.

function put(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false));
  return node;
}

// An element of HTML: h("p", {class: "hint"}, "text", otherElement). Attributes "on..." are listeners.
export const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);

// An element of SVG.
export const s = (tag, attributes, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

// A name that may be broken where its parts meet.
export const breakable = text => text.split(/(?<=[+,])/).flatMap(part => [h("wbr"), part]).slice(1);

export const swatch = entrant =>
  h("span", {class: "swatch", style: `color:${entrant.color}`, "aria-hidden": "true"});

// A list to choose from; values are pairs of value and text.
export function select(label, values, change) {
  const options = values.map(([value, text]) => h("option", {value}, text));
  return h("label", {class: "choice"}, label, h("select", {onchange: e => change(e.target.value)}, options));
}

// Tables. Their roles are spelled out since a phone's layout changes how they are displayed.
//   heads: [{text, label (on a phone; default: text), num: whether numbers stand in the column}]
//   parts: [{name (optional), rows: [[cell, ...]]}]; a cell is text, elements, or {text, class}
export function table(caption, heads, parts, attributes = {}) {
  const cells = row => row.map((content, i) => {
    const isObject = content && content.nodeType === undefined && typeof content === "object";
    const cell = isObject && !Array.isArray(content) ? content : {text: content};
    const shared = {class: [heads[i].num && "num", cell.class].filter(Boolean).join(" ") || null};
    if (i === 0) return h("th", {...shared, scope: "row", role: "rowheader"}, cell.text);
    const label = heads[i].label ?? heads[i].text;
    return h("td", {...shared, role: "cell", "data-label": label}, h("span", {}, cell.text));
  });
  const head = x => h("th", {scope: "col", role: "columnheader", class: x.num ? "num" : null}, x.text);
  const partHead = part => h("tr", {role: "row"},
    h("th", {class: "part", role: "rowheader", scope: "rowgroup", colspan: heads.length}, part.name));
  return h("table", {role: "table", class: "stack", ...attributes},
    h("caption", {}, caption),
    h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, heads.map(head))),
    parts.map(part => h("tbody", {role: "rowgroup"},
      part.name && partHead(part),
      part.rows.map(row => h("tr", {role: "row"}, cells(row))))));
}
