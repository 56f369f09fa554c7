// Many samples at once: choose those that are alike, say what they are, confirm once.

import { get } from "./api.js";
import { answerTo } from "./answer.js";
import { Clock } from "./clock.js";
import { button, el, tell } from "./dom.js";
import { spoken } from "./labels.js";
import { LatentMap } from "./map.js";
import { Picker } from "./picker.js";
import { Selection } from "./selection.js";
import { small } from "./stage.js";

const SCREENFUL = 60;

export const KEYS = [
  ["click", "choose a sample, or not"],
  ["Shift + click", "all from the last one to this"],
  ["drag", "all in the rectangle; with Shift, besides those chosen"],
  ["arrows, Space", "the same by keyboard; with Shift, a range"],
  ["Ctrl + A", "all"],
  ["Escape", "none"],
  ["1 … 9  /", "what they are"],
  ["r  l  s", "reject, later, skip"],
  ["Enter", "confirm"],
  ["u", "undo the last confirmation"],
];

export class Grid {
  constructor(room) {
    this.room = room;
    this.clock = new Clock();
    this.samples = new Map();
    this.tiles = el("div", { class: "tiles", role: "listbox", "aria-multiselectable": "true", "aria-label": "Samples" });
    this.selection = new Selection(this.tiles, (tasks) => this.chose(tasks));
    this.picker = new Picker({ ...room.labelling(), picked: (label) => this.propose("correct", label), name: "What they are", live: true });
    this.said = el("p", { class: "pending", "aria-live": "polite" });
    this.confirmButton = button("Confirm", "Enter", () => this.confirm(), { class: "main" });
    this.map = new LatentMap({ lassoed: (points) => this.lassoed(points), height: 260 });
    this.element = el("div", { class: "gridview" }, el("div", { class: "field" }, this.tiles), this.bar());
  }

  bar() {
    const act = (name, key) => button(name, key, () => this.propose(name.toLowerCase(), null));
    this.mapFold = el("details", { class: "mapfold" }, el("summary", {}, "Map: draw around samples to choose them"), this.map.element);
    this.mapFold.addEventListener("toggle", () => this.mapFold.open && this.loadMap());
    return el(
      "aside",
      { "aria-label": "What they are" },
      el("div", { class: "row" }, button("All", "", () => this.all()), button("None", "", () => this.selection.set([])), button("Undo", "u", () => this.undo())),
      this.picker.element,
      el("div", { class: "row" }, act("Reject", "r"), act("Later", "l"), act("Skip", "s")),
      el("div", { class: "confirm" }, this.said, this.confirmButton),
      this.mapFold,
    );
  }

  async enter() {
    this.here = true;
    this.chose([]);
    await this.fill();
    this.clock.restart();
  }

  leave() {
    this.here = false;
    this.room.queue.putBack(...this.samples.values());
    this.samples.clear();
    this.tiles.replaceChildren();
    this.selection.set([]);
  }

  changed() {}

  // Up to a screenful of samples, those that are there already in their places.
  async fill() {
    const { queue } = this.room;
    await queue.refill(0);
    await queue.refill(SCREENFUL - this.samples.size);
    if (!this.here) return;
    while (this.samples.size < SCREENFUL && queue.ahead.length) {
      const sample = queue.ahead.shift();
      queue.shown.add(sample.task);
      this.samples.set(sample.task, sample);
      this.tiles.append(this.option(sample));
    }
    this.tiles.classList.toggle("wide", [...this.samples.values()].some((sample) => sample.modality !== "image"));
    const first = this.selection.options[0];
    if (first && !this.selection.options.some((one) => one.tabIndex === 0)) first.tabIndex = 0;
    this.tellEmpty();
    if (this.mapFold.open) this.loadMap();
  }

  tellEmpty() {
    const empty = !this.samples.size;
    this.element.classList.toggle("idle", empty);
    if (empty) this.said.textContent = "Nothing to decide right now. More comes by itself, as soon as there is any.";
    clearTimeout(this.again);
    if (empty && this.here) this.again = setTimeout(() => this.here && this.fill(), 3000);
  }

  option(sample) {
    const words = sample.modality === "text" ? {} : { "aria-label": `sample ${sample.task}${sample.origin === "synthetic" ? ", generated" : ""}` };
    return el(
      "div",
      { role: "option", class: "tile", tabindex: "-1", "aria-selected": "false", data: { task: sample.task }, ...words },
      small(sample),
      sample.origin === "synthetic" ? el("span", { class: "badge" }, "generated") : null,
    );
  }

  all() {
    this.selection.set(this.samples.keys());
  }

  chose(tasks) {
    this.map.mark(tasks.map((task) => this.samples.get(task)?.sample_id));
    this.tellPending();
  }

  propose(action, label) {
    if (!this.room.me.multi) this.picker.mark(label);
    this.pending = action === "correct" && label === null ? null : { action, label };
    this.tellPending();
  }

  tellPending() {
    const number = this.selection?.tasks.size ?? 0;
    const { pending } = this;
    const what = !pending ? "choose what they are" : pending.label !== null ? spoken(pending.label, this.room.me.multi) : pending.action;
    const samples = `${number} ${number === 1 ? "sample" : "samples"}`;
    if (this.said) this.said.textContent = number ? `${samples}: ${what}` : pending ? `Choose the samples: ${what}` : "Choose samples, and what they are.";
    if (this.confirmButton) this.confirmButton.disabled = !(number && pending);
  }

  confirm() {
    const tasks = [...this.selection.tasks];
    if (!tasks.length || !this.pending) return;
    const { action, label } = this.pending;
    if (label?.startsWith("new:")) this.room.proposed(label);
    const seconds = Number((this.clock.seconds / tasks.length).toFixed(3));
    const answers = tasks.map((task) => answerTo(this.samples.get(task), action, label, { seconds }));
    this.last = answers.map((answer) => ({ answer, sample: this.samples.get(answer.task) }));
    for (const { sample } of this.last) this.remove(sample);
    this.room.outbox.add(...answers);
    this.pending = null;
    this.picker.reset();
    this.selection.set([]);
    this.selection.anchor = null;
    this.clock.restart();
    if (this.samples.size < SCREENFUL / 2) this.fill();
  }

  remove(sample) {
    this.room.queue.answered(sample);
    this.samples.delete(sample.task);
    this.tiles.querySelector(`[data-task="${sample.task}"]`).remove();
  }

  // A confirmation is undone as a whole: each of its answers by one that names it.
  undo() {
    const { outbox, queue } = this.room;
    if (!this.last) return tell("There is nothing to undo here; one by one goes further back.");
    for (const { answer, sample } of this.last) {
      if (!outbox.takeBack(answer.answer_id)) outbox.add(answerTo(sample, "undo", null, { replaces: answer.answer_id }));
      queue.shown.add(sample.task);
      this.samples.set(sample.task, sample);
    }
    this.tiles.prepend(...this.last.map(({ sample }) => this.option(sample)));
    this.selection.set(this.last.map(({ sample }) => sample.task));
    tell(`Taken back: ${this.last.length} answers`);
    this.last = null;
    this.tellEmpty();
    this.tellPending();
  }

  key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "a") return this.all(), true;
    if (event.ctrlKey || event.metaKey) return false;
    if (event.key === "Escape") return this.selection.set([]), true;
    if (event.key === "u") return this.undo(), true;
    const action = { r: "reject", l: "later", s: "skip" }[event.key];
    if (action) return this.propose(action, null), true;
    if (event.key === "Enter" && this.pending) return this.confirm(), true;
    return this.picker.press(event);
  }

  async loadMap() {
    try {
      const { points } = await get(`/api/map/${this.round()}`);
      this.map.show(points, new Set([...this.samples.values()].map((sample) => sample.sample_id)));
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  round() {
    return [...this.samples.values()][0]?.round ?? this.room.me.round;
  }

  lassoed(points) {
    const ids = new Set(points.map((point) => point.sample_id));
    const inside = [...this.samples.values()].filter((sample) => ids.has(sample.sample_id));
    this.selection.set(inside.map((sample) => sample.task));
    if (!inside.length) tell("None of the samples shown lies there.");
  }
}
