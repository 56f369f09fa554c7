// The latent map: points on a canvas, and a lasso that says which lie inside.

import { el } from "./dom.js";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8ad00", "#8a8f98"];
const EDGE = 14;
const NEAR = 8; // pixels: a click means the points so near

export class LatentMap {
  // `lassoed(points)`: a lasso was closed around them.
  constructor({ lassoed, height = 340 }) {
    this.lassoed = lassoed;
    this.points = [];
    this.marked = new Set();
    this.canvas = el("canvas", { height, role: "img", "aria-label": "Map of the samples: alike lie close. Draw around points to choose them, or click one." });
    this.legend = el("p", { class: "legend" });
    this.element = el("div", { class: "map" }, this.canvas, this.legend);
    this.height = height;
    const on = (event, listener) => this.canvas.addEventListener(event, listener);
    on("pointerdown", (event) => this.begin(event));
    on("pointermove", (event) => this.line && this.grow(event));
    on("pointerup", () => this.line && this.end());
    on("pointercancel", () => this.draw((this.line = null)));
    new ResizeObserver(() => this.draw()).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // Points {x, y, sample_id, label}; those of `active` can be chosen and are drawn in full.
  show(points, active = null) {
    [this.points, this.active] = [points, active];
    const counts = new Map();
    for (const { label } of points) if (label !== null) counts.set(label, (counts.get(label) ?? 0) + 1);
    const names = [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name);
    this.colours = new Map(names.map((name, place) => [name, COLOURS[Math.min(place, COLOURS.length - 1)]]));
    const swatch = (name, place) => el("span", {}, el("i", { class: `swatch c${Math.min(place, 7)}` }), name === "" ? "none" : name);
    const shown = names.slice(0, 7).map(swatch);
    this.legend.replaceChildren(...shown, ...(names.length > 7 ? [swatch("others", 7)] : []), el("span", {}, el("i", { class: "swatch open" }), "not labelled"));
    this.draw();
  }

  mark(ids) {
    this.marked = new Set(ids);
    this.draw();
  }

  place() {
    const xs = this.points.map((p) => p.x);
    const ys = this.points.map((p) => p.y);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const width = this.canvas.clientWidth;
    const scale = (value, from, to, size) => EDGE + ((value - from) / (to - from || 1)) * (size - 2 * EDGE);
    return ({ x, y }) => [scale(x, left, right, width), this.height - scale(y, low, high, this.height)];
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    [this.canvas.width, this.canvas.height] = [width * ratio, this.height * ratio];
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const [text, dim] = [style.getPropertyValue("--text"), style.getPropertyValue("--dim")];
    const at = this.place();
    for (const point of this.points) this.dot(pen, point, at(point), text, dim);
    if (!this.line) return;
    pen.strokeStyle = text;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 4]);
    pen.stroke(this.path());
  }

  dot(pen, point, [x, y], text, dim) {
    const active = !this.active || this.active.has(point.sample_id);
    pen.globalAlpha = active ? 1 : 0.35;
    pen.beginPath();
    pen.arc(x, y, active ? 4.5 : 3, 0, 7);
    if (point.label === null || point.label === undefined) {
      pen.strokeStyle = dim;
      pen.lineWidth = 1.5;
      pen.stroke();
    } else {
      pen.fillStyle = this.colours.get(point.label);
      pen.fill();
    }
    if (!this.marked.has(point.sample_id)) return;
    pen.beginPath();
    pen.arc(x, y, 7.5, 0, 7);
    pen.strokeStyle = text;
    pen.lineWidth = 2;
    pen.stroke();
  }

  path() {
    const path = new Path2D();
    this.line.forEach(([x, y], place) => (place ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
    return path;
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.line = [];
    this.grow(event);
  }

  grow(event) {
    const box = this.canvas.getBoundingClientRect();
    this.line.push([event.clientX - box.left, event.clientY - box.top]);
    this.draw();
  }

  end() {
    const pen = document.createElement("canvas").getContext("2d");
    const [path, at] = [this.path(), this.place()];
    const [[x, y], ...rest] = this.line;
    const clicked = rest.every((point) => Math.hypot(point[0] - x, point[1] - y) < NEAR);
    const near = (point) => Math.hypot(at(point)[0] - x, at(point)[1] - y) < NEAR;
    const inside = this.points.filter((point) => (clicked ? near(point) : pen.isPointInPath(path, ...at(point))));
    this.line = null;
    this.draw();
    this.lassoed(inside);
  }
}
