// Which tiles are chosen: by click, Shift and click, a rectangle, the keyboard, or all of them.

import { el } from "./dom.js";

const A_DRAG = 6; // pixels

export class Selection {
  // `box`: a listbox whose children are options with data-task. `changed(tasks)`.
  constructor(box, changed) {
    Object.assign(this, { box, changed });
    this.tasks = new Set();
    this.anchor = null;
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.drag && this.stretch(event));
    box.addEventListener("pointerup", (event) => this.drag && this.up(event));
    box.addEventListener("pointercancel", () => this.endDrag());
    box.addEventListener("keydown", (event) => this.key(event));
  }

  get options() {
    return [...this.box.children].filter((child) => child.dataset.task);
  }

  set(tasks) {
    this.tasks = new Set(tasks);
    this.say();
  }

  say() {
    for (const option of this.options) option.setAttribute("aria-selected", String(this.tasks.has(Number(option.dataset.task))));
    this.changed([...this.tasks]);
  }

  // A finger scrolls; a mouse or a pen draws a rectangle.
  down(event) {
    if (event.button !== 0) return;
    const option = event.target.closest("[data-task]");
    this.drag = { x: event.clientX, y: event.clientY, option, touch: event.pointerType === "touch", moved: false };
  }

  stretch(event) {
    const { drag } = this;
    if (drag.touch || (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < A_DRAG)) return;
    if (!drag.moved) {
      drag.moved = true;
      drag.before = event.shiftKey || event.ctrlKey || event.metaKey ? new Set(this.tasks) : new Set();
      this.box.setPointerCapture(event.pointerId);
      drag.frame = el("div", { class: "frame", "aria-hidden": "true" });
      document.body.append(drag.frame);
    }
    const [left, right] = [Math.min(drag.x, event.clientX), Math.max(drag.x, event.clientX)];
    const [top, bottom] = [Math.min(drag.y, event.clientY), Math.max(drag.y, event.clientY)];
    Object.assign(drag.frame.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    const inside = this.options.filter((option) => {
      const box = option.getBoundingClientRect();
      return box.left < right && box.right > left && box.top < bottom && box.bottom > top;
    });
    this.set([...drag.before, ...inside.map((option) => Number(option.dataset.task))]);
  }

  up(event) {
    const { option, moved } = this.drag;
    this.endDrag();
    if (!moved && option && option === event.target.closest("[data-task]")) this.click(option, event.shiftKey);
  }

  endDrag() {
    this.drag?.frame?.remove();
    this.drag = null;
  }

  click(option, range) {
    const task = Number(option.dataset.task);
    if (range) this.range(option);
    else if (!this.tasks.delete(task)) this.tasks.add(task);
    if (!range) this.anchor = task;
    this.focus(option);
    this.say();
  }

  range(option) {
    const { options } = this;
    const from = Math.max(0, options.findIndex((one) => Number(one.dataset.task) === this.anchor));
    const to = options.indexOf(option);
    for (const one of options.slice(Math.min(from, to), Math.max(from, to) + 1)) this.tasks.add(Number(one.dataset.task));
  }

  focus(option) {
    for (const one of this.options) one.tabIndex = one === option ? 0 : -1;
    option.focus({ preventScroll: true });
  }

  key(event) {
    const { options } = this;
    const now = options.indexOf(document.activeElement);
    if (now < 0) return;
    const top = options[0].offsetTop;
    const columns = Math.max(1, options.findIndex((one) => one.offsetTop !== top));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (event.key === " ") this.click(options[now], event.shiftKey);
    else if (event.key in steps) {
      const next = options[now + steps[event.key]];
      if (!next) return;
      this.anchor ??= Number(options[now].dataset.task);
      if (event.shiftKey) this.range(next);
      this.focus(next);
      next.scrollIntoView({ block: "nearest" });
      this.say();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
