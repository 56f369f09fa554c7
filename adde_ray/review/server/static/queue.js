// The samples to come, with their images already loaded.

import { get, withQuery } from "./api.js";

const AHEAD = 10;
const LOW = 5; // fewer: more are asked for

export class Queue {
  // `unsent()`: tasks answered here that the server may not know of yet. `changed()`: samples have come, or none is left.
  constructor({ unsent, changed, progress }) {
    Object.assign(this, { unsent, changed, progress });
    this.ahead = [];
    this.shown = new Set();
    this.asking = null;
    this.bands = "";
  }

  // The next sample; it stays out of what is asked for until it is answered or put back.
  take() {
    const sample = this.ahead.shift() ?? null;
    if (sample) this.shown.add(sample.task);
    if (this.ahead.length < LOW) this.refill();
    this.loadAhead();
    return sample;
  }

  loadAhead() {
    for (const sample of this.ahead.slice(0, AHEAD)) if (!sample.picture) this.load(sample);
  }

  answered(sample) {
    this.shown.delete(sample.task);
  }

  putBack(...samples) {
    for (const sample of samples) this.shown.delete(sample.task);
    this.ahead.unshift(...samples);
  }

  // At least `number` ahead, where there are so many.
  refill(number = AHEAD) {
    this.asking ??= this.ask(number).then(() => {
      this.asking = null;
      this.changed();
    });
    return this.asking;
  }

  async ask(number) {
    const missing = number - this.ahead.length;
    if (missing <= 0) return;
    const held = [...this.shown, ...this.ahead.map((sample) => sample.task), ...this.unsent()];
    try {
      const got = await get(withQuery("/api/next", { n: missing, not: [...new Set(held)].join(",") }));
      const known = new Set([...this.shown, ...this.ahead.map((sample) => sample.task), ...this.unsent()]);
      const fresh = got.samples.filter((sample) => !known.has(sample.task));
      this.ahead.push(...fresh);
      if (number <= AHEAD) this.loadAhead(); // a grid shows thumbnails
      if (got.progress) this.progress(got.progress);
      this.failed = null;
    } catch (error) {
      this.failed = error;
    }
  }

  url(sample) {
    return sample.bands ? withQuery(sample.image, { bands: this.bands }) : sample.image;
  }

  load(sample) {
    if (sample.modality !== "image") return;
    sample.picture = new Image();
    sample.picture.src = this.url(sample);
    sample.picture.decode().catch(() => null); // what cannot be shown is told on the sample itself
  }
}
