// What all charts show, and who draws them anew when it changes.

// x: "units" or "seconds"; choice: by a chart's name, the metric it shows; off: entrants that are hidden; range: of x
export const state = {x: "units", y: "linear", raw: true, choice: {}, off: new Set(), range: null};

const drawers = [];
const zoomListeners = [];

// Adds a function that draws a chart; returns how many there were before.
export const addDrawer = draw => drawers.push(draw) - 1;
export const redraw = () => drawers.forEach(draw => draw());
export const onZoom = listener => zoomListeners.push(listener);

// Shows this range of x everywhere; null: all of it.
export function zoom(range) {
  state.range = range;
  zoomListeners.forEach(listener => listener(range));
  redraw();
}
