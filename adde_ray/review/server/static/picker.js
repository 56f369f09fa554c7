// Where a label is chosen: a button a class, digits, and a search box that finds one of a thousand.

import { el, kbd } from "./dom.js";
import { NEW, digits, join, search, split, spoken } from "./labels.js";

const MOST_BUTTONS = 24;
let boxes = 0;

export class Picker {
  // `picked(label)`: one was chosen; of several classes at once, the choice is confirmed. `live`: it is told of each
  // change instead, null while nothing is chosen, and somebody else confirms.
  constructor({ classes, multi, picked, proposed = [], name = "Label", live = false }) {
    Object.assign(this, { multi, picked, name, proposed: new Set(proposed), live });
    this.holds = new Set();
    this.unknown = new Set();
    this.buttons = el("div", { class: "classes" });
    this.said = el("p", { class: "chosen", "aria-live": "polite" });
    this.element = el("div", { class: "picker", role: "group", "aria-label": name }, this.buttons, this.searchBox());
    if (multi) this.element.append(this.said, this.confirming());
    this.offer(classes);
  }

  offer(classes) {
    this.classes = classes;
    this.digits = digits(classes);
    const keys = new Map([...this.digits].map(([digit, name]) => [name, digit]));
    this.buttons.classList.toggle("brief", !this.multi && classes.every((name) => name.length < 5));
    this.buttons.classList.toggle("both", this.multi);
    const shown = classes.length <= MOST_BUTTONS ? classes : classes.slice(0, 9);
    this.buttons.replaceChildren(...shown.map((name) => this.classButton(name, keys.get(name))));
    this.tellChoice();
  }

  classButton(name, digit) {
    const choose = el(
      "button",
      { type: "button", class: "class", data: { name }, "aria-keyshortcuts": digit, on: { click: () => this.choose(name) } },
      digit ? kbd(digit) : null,
      el("span", { dir: "auto" }, name),
    );
    if (!this.multi) return choose;
    const open = { type: "button", class: "unsure", data: { open: name }, "aria-label": `${name}: not known` };
    return el("div", { class: "several" }, choose, el("button", { ...open, on: { click: () => this.doubt(name) } }, "?"));
  }

  searchBox() {
    const id = `found-${boxes++}`;
    this.list = el("ul", { id, role: "listbox", "aria-label": "Classes found", hidden: true });
    this.input = el("input", {
      type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: "find or propose a class  /",
      "aria-label": `${this.name}: find or propose a class`, "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list",
      on: { input: () => this.find(), keydown: (event) => this.typed(event), focus: () => this.find(), blur: () => this.fold() },
    });
    return el("div", { class: "search" }, this.input, this.list);
  }

  confirming() {
    const ask = (text, key, done) => el("button", { type: "button", "aria-keyshortcuts": key, on: { click: done } }, kbd(key), text);
    return el("div", { class: "row" }, ask("None of them", "n", () => this.none()), this.live ? null : ask("Confirm", "Enter", () => this.confirm()));
  }

  // A key pressed outside of any field; true when it meant something here.
  press(event) {
    const digit = /^(Digit|Numpad)[0-9]$/.test(event.code) ? event.code.at(-1) : event.key;
    if (this.digits.has(digit)) {
      if (this.multi && event.shiftKey) this.doubt(this.digits.get(digit));
      else if (event.shiftKey && event.code.startsWith("Digit") && !/^[0-9]$/.test(event.key)) return false;
      else this.choose(this.digits.get(digit));
      return true;
    }
    if (event.key === "/") return this.open(""), true;
    if (this.multi && event.key === "n") return this.none(), true;
    if (this.multi && !this.live && event.key === "Enter") return this.confirm(), true;
    if (event.key.length === 1 && /[\p{L}\p{N}]/u.test(event.key)) return this.open(event.key), true;
    return false;
  }

  open(text) {
    this.input.value = text;
    this.input.focus();
    this.find();
  }

  choose(name) {
    this.fold();
    if (!this.multi || name.startsWith(NEW)) return this.picked(name);
    this.unknown.delete(name);
    if (!this.holds.delete(name)) this.holds.add(name);
    this.chose();
  }

  doubt(name) {
    this.holds.delete(name);
    if (!this.unknown.delete(name)) this.unknown.add(name);
    this.chose();
  }

  chose() {
    this.nothing = false;
    this.tellChoice();
    if (this.live) this.picked(this.chosen);
  }

  get chosen() {
    return this.holds.size + this.unknown.size || this.nothing ? join([...this.holds], [...this.unknown]) : null;
  }

  none() {
    this.reset();
    this.nothing = true;
    this.confirm();
  }

  confirm() {
    if (this.chosen !== null) this.picked(this.chosen);
    else this.said.textContent = "Choose what holds, or n for none of them.";
  }

  // Back to nothing chosen, or to a label.
  reset(label = null) {
    if (!this.multi) return this.mark(label);
    const { holds, unknown } = split(label ?? "");
    [this.holds, this.unknown, this.nothing] = [new Set(holds), new Set(unknown), label === ""];
    this.tellChoice();
  }

  mark(label) {
    for (const button of this.buttons.querySelectorAll(".class")) button.classList.toggle("now", button.dataset.name === label);
  }

  tellChoice() {
    if (!this.multi) return;
    for (const button of this.buttons.querySelectorAll("[data-name]"))
      button.setAttribute("aria-pressed", this.holds.has(button.dataset.name));
    for (const button of this.buttons.querySelectorAll("[data-open]"))
      button.setAttribute("aria-pressed", this.unknown.has(button.dataset.open));
    this.said.textContent = this.chosen === null ? "" : `Chosen: ${spoken(this.chosen, true)}`;
  }

  find() {
    const typed = this.input.value.trim();
    const doubted = this.multi && typed.startsWith("?");
    const sought = doubted ? typed.slice(1) : typed.replace(/^new:\s*/, "");
    if (!sought && this.classes.length <= MOST_BUTTONS) return this.fold(false);
    const found = search(this.classes, sought).map((name) => ({ name, words: doubted ? `${name}: not known` : name, doubted }));
    const proposals = search([...this.proposed], sought).map((name) => ({ name: NEW + name, words: `${name} (proposed)` }));
    const known = [...this.classes, ...this.proposed].some((name) => name.toLowerCase() === sought.toLowerCase());
    const fresh = sought && !known && !doubted && !/[|]/.test(sought) ? [{ name: NEW + sought, words: `Propose a new class: ${sought}` }] : [];
    this.list.replaceChildren(...[...found, ...proposals, ...fresh].map((one, place) => this.option(one, place)));
    this.at = 0;
    this.unfold();
  }

  option(one, place) {
    const option = el("li", { id: `${this.list.id}-${place}`, role: "option", dir: "auto" }, one.words);
    option.take = () => (one.doubted ? this.doubt(one.name) : this.choose(one.name));
    option.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.settle(option);
    });
    return option;
  }

  unfold() {
    const options = [...this.list.children];
    this.list.hidden = !options.length;
    this.input.setAttribute("aria-expanded", String(options.length > 0));
    options.forEach((option, place) => option.setAttribute("aria-selected", String(place === this.at)));
    const now = options[this.at];
    now?.scrollIntoView({ block: "nearest" });
    if (now) this.input.setAttribute("aria-activedescendant", now.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  fold(clear = true) {
    if (clear) this.input.value = "";
    this.list.replaceChildren();
    this.unfold();
  }

  settle(option) {
    this.input.blur();
    option.take();
  }

  typed(event) {
    const most = this.list.children.length - 1;
    if (event.key === "Escape") this.input.blur();
    else if (event.key === "ArrowDown") this.at = Math.min(most, this.at + 1);
    else if (event.key === "ArrowUp") this.at = Math.max(0, this.at - 1);
    else if (event.key === "Enter" && most >= 0) this.settle(this.list.children[this.at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key.startsWith("Arrow")) this.unfold();
  }
}
