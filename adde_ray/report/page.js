// Puts the pictures in and moves the map through the rounds.
"use strict";
(() => {
  const { data, draw } = page;
  const literal = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const short = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text);
  const narrow = () => window.innerWidth < 700;

  // --- pictures ------------------------------------------------------------------------------------
  function picture(id, image) {
    // Few pixels are shown as pixels, photographs are smoothed.
    image.onload = () => image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= 48);
    image.src = data.samples[id].src;
  }
  for (const image of document.querySelectorAll("img[data-id]")) picture(image.dataset.id, image);

  if (data.map) map(data.map);

  // --- the map -------------------------------------------------------------------------------------
  function map(points) {
    const plane = document.getElementById("plane");
    const slider = document.getElementById("slider");
    const told = document.getElementById("told");
    const tip = document.getElementById("tip");
    const all = points.ids.map((_, row) => row);
    const held = all.filter((row) => points.entered[row] >= 0);
    const scale = all.length > 2000 ? 0.7 : 1;
    const stateIs = (...names) => (row, i, round) => names.includes(points.states[round.states[i]]);
    const asked = (test) => (round) => round.query.filter((row, i) => test(row, i, round));

    // A layer is a trace and the rows it shows in a round.
    const layers = [
      { name: "pool", rows: () => pool, marker: { color: "rgba(138, 143, 152, 0.45)", size: 4 * scale } },
      {
        name: "synthesised, dropped",
        rows: (round) => round.dropped,
        marker: { symbol: "diamond-x-open", color: "#8a8f98", size: 8 * scale, line: { width: 1 } },
      },
      {
        name: "synthesised, passed",
        rows: (round) => round.kept,
        marker: { symbol: "diamond-open", color: "#0072B2", size: 10 * scale, line: { width: 2 } },
      },
      ...colours().map(([colour, rows, name]) => ({
        name,
        rows: (round) => rows.filter((row) => points.entered[row] <= round.t),
        marker: { color: colour, size: 9 * scale, line: { color: "rgba(255, 255, 255, 0.75)", width: 1 } },
        shape: true,
      })),
      ring("asked, accepted", "circle-open", "#009E73", 16, asked(stateIs("accepted", "corrected"))),
      ring("asked, rejected", "x-thin", "#D55E00", 12, asked(stateIs("rejected", "flagged", "undecided"))),
      ring("asked, waiting", "square-open", "#CC79A7", 15, asked(stateIs("waiting"))),
    ];
    const pool = all.filter((row) => !points.synthetic[row]);
    const anyRound = (layer) => points.rounds.some((round) => layer.rows(round).length);
    const shown = layers.filter(anyRound);

    function ring(name, symbol, colour, size, rows) {
      return { name, rows, marker: { symbol, size: size * scale, color: colour, line: { width: 2.5 * scale, color: colour } } };
    }

    // [colour, rows, name]: one entry a class; classes that share the last colour share an entry.
    function colours() {
      const entries = new Map();
      points.classes.forEach((name, k) => {
        const entry = entries.get(points.colours[k]) ?? { names: [], classes: new Set() };
        entry.names.push(name);
        entry.classes.add(k);
        entries.set(points.colours[k], entry);
      });
      // The shared entry comes last.
      return [...entries].sort(([, a], [, b]) => a.names.length - b.names.length).map(([colour, { names, classes }]) => {
        const name = names.length > 1 ? `${names.length} other classes` : literal(short(names[0]));
        return [colour, held.filter((row) => classes.has(points.label[row])), name];
      });
    }

    const symbols = (rows) => rows.map((row) => (points.synthetic[row] ? "diamond" : "circle"));
    const at = (axis, rows) => rows.map((row) => points[axis][row]);

    function trace(layer, round) {
      const rows = layer.rows(round);
      const marker = layer.shape ? { ...layer.marker, symbol: symbols(rows) } : layer.marker;
      return {
        type: "scatter", mode: "markers", name: layer.name, legendgroup: layer.name, hoverinfo: "skip",
        showlegend: !layer.shape, x: at("x", rows), y: at("y", rows), customdata: rows, marker,
      };
    }

    // Circles and diamonds share a class's trace, so its entry in the legend is a trace of its own, without points.
    function keys() {
      const key = (name, marker, group) => ({
        type: "scatter", mode: "markers", name, legendgroup: group, hoverinfo: "skip", x: [null], y: [null], marker,
      });
      const entries = shown.filter((layer) => layer.shape).map((layer) => key(layer.name, layer.marker, layer.name));
      const made = { color: "#8a8f98", size: 9, symbol: "diamond" };
      if (held.some((row) => points.synthetic[row])) entries.push(key("synthetic, of any class", made, ""));
      return entries;
    }

    function span(axis) {
      const low = Math.min(...points[axis]), high = Math.max(...points[axis]);
      const pad = 0.04 * (high - low) || 1;
      return [low - pad, high + pad];
    }

    const hidden = { visible: false, fixedrange: false };
    const beside = { orientation: "v", x: 1.01, y: 1, xanchor: "left", yanchor: "top" };
    const below = { orientation: "h", x: 0, y: -0.02, xanchor: "left", yanchor: "top" };
    const layout = {
      height: narrow() ? 620 : 600,
      margin: { l: 4, r: 4, t: 4, b: 4 },
      xaxis: { ...hidden, range: span("x") },
      yaxis: { ...hidden, range: span("y") },
      legend: { ...(narrow() ? below : beside), itemsizing: "constant" },
      hovermode: false,
      dragmode: narrow() ? false : "zoom", // a finger must be able to scroll the page
    };
    function tell(round) {
      const inDataset = held.filter((row) => points.entered[row] <= round.t).length;
      const counts = new Map();
      for (const state of round.states) counts.set(points.states[state], (counts.get(points.states[state]) ?? 0) + 1);
      const outcome = [...counts].map(([state, n]) => `${n} ${state}`).join(", ");
      const parts = [`Round ${round.t}: ${inDataset} in the dataset`];
      if (round.query.length) parts.push(`${round.query.length} asked (${outcome})`);
      const made = round.kept.length + round.dropped.length;
      if (made) parts.push(`${made} synthesised (${round.kept.length} passed)`);
      told.textContent = parts.join(" · ");
    }

    function show() {
      const round = points.rounds[Number(slider.value)];
      tip.hidden = true;
      tell(round);
      const traces = shown.map((layer) => trace(layer, round));
      const moving = shown.map((_, i) => i).filter((i) => shown[i].name !== "pool");
      const pick = (key) => moving.map((i) => traces[i][key]);
      Plotly.restyle(plane, {
        x: pick("x"), y: pick("y"), customdata: pick("customdata"), "marker.symbol": moving.map((i) => traces[i].marker.symbol ?? "circle"),
      }, moving);
    }

    const first = points.rounds[Number(slider.value)];
    draw(plane, { data: [...shown.map((layer) => trace(layer, first)), ...keys()], layout });
    tell(first);

    const step = (by) => {
      slider.value = Number(slider.value) + by;
      show();
    };
    let pending = 0; // dragging fires faster than thousands of points can be drawn
    slider.addEventListener("input", () => {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(show);
    });
    document.getElementById("back").addEventListener("click", () => step(-1));
    document.getElementById("forth").addEventListener("click", () => step(1));

    const named = (row) => points.names?.[row] ?? points.classes[points.label[row]];

    function describe(row) {
      const round = points.rounds[Number(slider.value)];
      const lines = [];
      const isHeld = points.entered[row] >= 0 && points.entered[row] <= round.t;
      if (isHeld) lines.push(`class ${named(row)}`, points.entered[row] ? `in the dataset from round ${points.entered[row]}` : "in the seed set");
      else lines.push(points.synthetic[row] ? "synthetic, not in the dataset" : "in the pool");
      if (isHeld && points.synthetic[row]) lines.push("synthetic");
      for (const r of points.rounds) {
        const i = r.t <= round.t ? r.query.indexOf(row) : -1;
        if (i < 0) continue;
        const state = points.states[r.states[i]];
        const label = points.label[row] >= 0 ? `, class ${named(row)}` : "";
        lines.push(`asked in round ${r.t}: ${state}${isHeld ? "" : label}`);
      }
      return lines;
    }

    // The row under the pointer, from the topmost layer down; plotly's own choice prefers the smallest marker.
    function under(event) {
      const { xaxis, yaxis } = plane._fullLayout;
      const box = plane.getBoundingClientRect();
      const x = event.clientX - box.left - xaxis._offset, y = event.clientY - box.top - yaxis._offset;
      if (x < 0 || y < 0 || x > xaxis._length || y > yaxis._length) return undefined;
      for (let i = shown.length - 1; i >= 0; i--) {
        if (plane.data[i].visible === "legendonly") continue;
        let best = (shown[i].marker.size / 2 + 2) ** 2, found;
        for (const row of plane.data[i].customdata) {
          const distance = (xaxis.d2p(points.x[row]) - x) ** 2 + (yaxis.d2p(points.y[row]) - y) ** 2;
          if (distance <= best) [best, found] = [distance, row];
        }
        if (found !== undefined) return found;
      }
      return undefined;
    }

    let over;
    function hover(event) {
      const row = under(event);
      if (row === undefined) {
        tip.hidden = true;
        over = undefined;
        return;
      }
      if (row !== over || tip.hidden) fill(row);
      over = row;
      // Beside the pointer, and never outside the window.
      const box = tip.getBoundingClientRect();
      const { clientX: x, clientY: y } = event;
      tip.style.left = `${x + 16 + box.width > window.innerWidth ? Math.max(4, x - 16 - box.width) : x + 16}px`;
      tip.style.top = `${Math.max(4, Math.min(y + 12, window.innerHeight - box.height - 4))}px`;
    }

    function fill(row) {
      const id = points.ids[row];
      const sample = data.samples[id];
      tip.replaceChildren();
      if (sample?.src) picture(id, tip.appendChild(document.createElement("img")));
      else if (sample?.text) Object.assign(tip.appendChild(document.createElement("p")), { className: "text", textContent: sample.text });
      for (const line of describe(row)) tip.appendChild(document.createElement("div")).textContent = line;
      Object.assign(tip.appendChild(document.createElement("div")), { className: "dim", textContent: id.slice(0, 12) });
      tip.hidden = false;
    }
    plane.addEventListener("mousemove", hover);
    plane.addEventListener("click", hover);
    plane.addEventListener("mouseleave", () => { tip.hidden = true; });
  }
})();
