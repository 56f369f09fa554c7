// An image that can be looked at closely: wheel, pinch, drag, + - 0 and a double click.

const MOST = 40;

export class Zoom {
  constructor(viewport) {
    this.viewport = viewport;
    this.pointers = new Map();
    const on = (event, listener, options) => viewport.addEventListener(event, listener, options);
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) on(end, (event) => this.pointers.delete(event.pointerId));
    on("dblclick", () => this.reset());
  }

  of(image) {
    this.image = image;
    this.pointers.clear();
    this.reset();
  }

  reset() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.apply();
  }

  // By a factor, about a point of the window; about the middle without one.
  by(factor, at = null) {
    if (!this.image) return;
    const box = this.viewport.getBoundingClientRect();
    const [px, py] = at ? [at.x - box.left, at.y - box.top] : [box.width / 2, box.height / 2];
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    [this.scale, this.x, this.y] = [scale, px - (px - this.x) * ratio, py - (py - this.y) * ratio];
    this.keepInside(box);
    this.apply();
  }

  keepInside({ width, height }) {
    this.x = Math.min(0, Math.max(width * (1 - this.scale), this.x));
    this.y = Math.min(0, Math.max(height * (1 - this.scale), this.y));
  }

  apply() {
    if (!this.image) return;
    const moved = this.scale > 1;
    this.image.style.transform = moved ? `translate(${this.x}px, ${this.y}px) scale(${this.scale})` : "";
    this.viewport.classList.toggle("zoomed", moved);
  }

  wheel(event) {
    event.preventDefault();
    this.by(Math.exp(-event.deltaY / 300), { x: event.clientX, y: event.clientY });
  }

  down(event) {
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.scale > 1 || this.pointers.size > 1) this.viewport.setPointerCapture(event.pointerId);
  }

  move(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      this.by(apart(now) / apart(last), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (this.scale > 1) {
      [this.x, this.y] = [this.x + now.x - last.x, this.y + now.y - last.y];
      this.keepInside(this.viewport.getBoundingClientRect());
      this.apply();
    }
    this.pointers.set(event.pointerId, now);
  }
}
