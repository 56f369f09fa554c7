// A sample on the screen: large on the stage, small in a tile.

import { withQuery } from "./api.js";
import { el } from "./dom.js";
import { Zoom } from "./zoom.js";

const SMALL = 160; // pixels: below, an image is shown with its pixels
const MOST_VALUES = 256;

export class Stage {
  constructor({ bands }) {
    this.element = el("section", { id: "stage", "aria-label": "Sample", tabindex: "-1" });
    this.viewport = el("div", { class: "viewport" });
    this.zoom = new Zoom(this.viewport);
    this.chosen = bands; // the bands chosen now, and what is to be done when others are
  }

  show(sample) {
    this.element.dataset.task = sample.task;
    this.element.className = sample.modality;
    this.element.scrollTop = 0;
    if (sample.modality === "image") this.element.replaceChildren(...this.image(sample));
    else this.element.replaceChildren(whole(sample));
  }

  empty(...said) {
    delete this.element.dataset.task;
    this.element.className = "empty";
    this.zoom.of(null);
    this.element.replaceChildren(...said);
  }

  image(sample) {
    const picture = sample.picture ?? Object.assign(new Image(), { src: sample.image });
    picture.alt = "the sample to decide about";
    picture.draggable = false;
    picture.addEventListener("error", () => this.viewport.replaceChildren(el("p", {}, "This image cannot be shown.")));
    const measured = () => picture.classList.toggle("pixels", picture.naturalWidth < SMALL);
    if (picture.complete && picture.naturalWidth) measured();
    else picture.addEventListener("load", measured, { once: true });
    this.viewport.replaceChildren(picture);
    this.zoom.of(picture);
    return sample.bands ? [this.viewport, this.bandChoice(sample)] : [this.viewport];
  }

  bandChoice(sample) {
    const first = [0, 1, 2].map((band) => Math.min(band, sample.bands - 1)).join(",");
    const now = (this.chosen.get() || first).split(",").map(Number);
    const choices = ["red", "green", "blue"].map((colour, place) => {
      const options = Array.from({ length: sample.bands }, (_, band) =>
        el("option", { value: band, selected: band === now[place] }, `band ${band + 1}`),
      );
      return el("label", {}, `${colour} `, el("select", { on: { change: () => changed() } }, ...options));
    });
    // The first ones are those of the image as it is shown, which may be larger than what the bands are kept of.
    const changed = () => {
      const chosen = choices.map((choice) => choice.querySelector("select").value).join(",");
      this.chosen.set(chosen === first ? "" : chosen);
      sample.picture = Object.assign(new Image(), { src: withQuery(sample.image, { bands: this.chosen.get() }) });
      this.show(sample);
    };
    return el("div", { class: "bands" }, ...choices);
  }
}

// A text or a vector, to be read.
function whole(sample) {
  if (sample.modality === "text") return el("p", { class: "words", dir: "auto" }, sample.text);
  return valueTable(sample.values);
}

function valueTable(values) {
  const named = Array.isArray(values) ? values.map((value, place) => [String(place), value]) : Object.entries(values);
  const rows = named.slice(0, MOST_VALUES).map(([name, value]) =>
    el("div", { class: "entry" }, el("dt", {}, name), el("dd", {}, typeof value === "number" ? short(value) : String(value))),
  );
  const rest = named.length - rows.length;
  return el("div", { class: "values" }, el("dl", {}, ...rows), rest > 0 && el("p", { class: "dim" }, `and ${rest} more`));
}

const short = (value) => (Number.isInteger(value) ? String(value) : value.toPrecision(4));

// A small view of a sample: a thumbnail, the beginning of a text, the first values.
export function small(sample, pixels = 96) {
  if (sample.image) {
    const picture = el("img", { src: withQuery(sample.image, { thumb: pixels }), alt: "", draggable: "false", decoding: "async" });
    picture.addEventListener("load", () => picture.classList.toggle("pixels", picture.naturalWidth < 64), { once: true });
    return picture;
  }
  if (typeof sample.text === "string") return el("span", { class: "words", dir: "auto" }, sample.text.slice(0, 240));
  const values = Array.isArray(sample.values) ? sample.values : Object.values(sample.values ?? {});
  return el("span", { class: "numbers" }, values.slice(0, 6).map((v) => (typeof v === "number" ? short(v) : v)).join("  "));
}

export function tile(sample, ...below) {
  return el("figure", { class: "tile" }, small(sample), el("figcaption", {}, ...below));
}
