// Switches the learning curves between a linear and a log axis of labels.
"use strict";
document.getElementById("log")?.addEventListener("change", (event) => {
  for (const id of Object.keys(page.data.charts).filter((name) => name.startsWith("curves-"))) {
    const type = event.target.checked ? "log" : "linear";
    Plotly.relayout(`chart-${id}`, { "xaxis.type": type, "xaxis.autorange": true });
  }
});
