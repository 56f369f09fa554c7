// Draws the charts of #data. What the page's other script needs of it is in `page`.
"use strict";
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const bare = { responsive: true, displaylogo: false, displayModeBar: false };

  // Colours of text and grid follow the page.
  function themed(layout) {
    const title = { font: { size: 13 }, standoff: 8 };
    const axis = { gridcolor: style("--grid"), linecolor: style("--rule"), zerolinecolor: style("--rule") };
    const legend = { bgcolor: "rgba(0,0,0,0)", traceorder: "normal", ...layout.legend };
    const hover = { bgcolor: style("--panel"), bordercolor: style("--rule"), font: { color: style("--text") } };
    return {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: style("--text") },
      xaxis: { ...axis, ...layout.xaxis, title: { ...title, ...layout.xaxis.title } },
      yaxis: { ...axis, ...layout.yaxis, title: { ...title, ...layout.yaxis.title } },
      hoverlabel: { align: "left", ...hover },
      legend,
      dragmode: layout.dragmode ?? false,
    };
  }

  const drawn = [];
  function draw(element, figure) {
    if (!element) return;
    drawn.push([element, figure]);
    Plotly.newPlot(element, figure.data, themed(figure.layout), bare);
  }

  for (const [id, figure] of Object.entries(data.charts)) draw(document.getElementById(`chart-${id}`), figure);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [element, figure] of drawn) Plotly.react(element, element.data, themed(figure.layout));
  });

  return { data, draw };
})();
