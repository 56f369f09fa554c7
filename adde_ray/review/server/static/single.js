// One sample at a time, by keyboard.

import { get, post } from "./api.js";
import { answerTo } from "./answer.js";
import { askComment, askFlags, commentsOf } from "./ask.js";
import { Clock } from "./clock.js";
import { button, clearNote, el, number, plainHtml, tell } from "./dom.js";
import { spoken } from "./labels.js";
import { Picker } from "./picker.js";
import { Stage, tile } from "./stage.js";

export const KEYS = [
  ["1 … 9", "choose the class beside the digit"],
  ["/", "find a class by name; any other letter starts the search too. Arrows and Enter choose"],
  ["a", "accept the suggested label, once it is shown"],
  ["r", "reject: no sample of this task, or not realistic"],
  ["f", "flag: biased, edge case, ambiguous, off topic, own words"],
  ["l", "later"],
  ["s", "skip: leave it to somebody else"],
  ["u", "undo the last answer"],
  ["c", "critique, or a comment for others"],
  ["g", "show or hide the model's guess"],
  ["w", "show or hide why it was asked"],
  ["+  −  0", "zoom in, out, back"],
  ["?", "these keys"],
];

export const KEYS_OF_SEVERAL = [
  ["1 … 9", "this class holds, or not"],
  ["Shift + 1 … 9", "cannot tell whether this class holds"],
  ["n", "none of them holds"],
  ["Enter", "confirm what is chosen"],
];

export class Single {
  constructor(room) {
    this.room = room;
    this.clock = new Clock();
    this.stage = new Stage({ bands: room.bands });
    this.picker = new Picker({ ...room.labelling(), picked: (label) => this.label(label), name: "Label" });
    this.panels = el("div", { class: "panels" });
    this.actions = this.buttons();
    this.origin = el("p", { class: "origin", hidden: true }, "This sample was generated. Reject it when it is not realistic.");
    const side = el("aside", { "aria-label": "Your answer" }, this.origin, this.picker.element, this.actions, this.panels, this.guide());
    this.element = el("div", { class: "single" }, this.stage.element, side);
    this.keys = { r: "reject", f: "flag", l: "later", s: "skip", u: "undo", c: "comment", g: "guess", w: "why", a: "accept" };
  }

  buttons() {
    const act = (name, key, attributes = {}) =>
      button(name, key, () => this.act(name.toLowerCase()), { ...attributes, data: { act: name.toLowerCase() } });
    return el(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "Answers without a label" },
      act("Accept", "a"), act("Reject", "r"), act("Flag", "f"), act("Later", "l"), act("Skip", "s"), act("Undo", "u"),
      act("Comment", "c"), act("Guess", "g", { "aria-pressed": "false" }), act("Why", "w", { "aria-pressed": "false" }),
    );
  }

  guide() {
    const { guide_html: html } = this.room.me;
    if (!html) return null;
    const folded = localStorage.getItem("adde-review-guide") === "folded";
    const rules = el("details", { class: "guide", open: !folded }, el("summary", {}, "Labelling rules"), el("div", { class: "prose" }, plainHtml(html)));
    rules.addEventListener("toggle", () => localStorage.setItem("adde-review-guide", rules.open ? "open" : "folded"));
    return rules;
  }

  enter() {
    if (!this.sample) this.next();
    else this.clock.go();
  }

  leave() {
    this.clock.pause();
    if (this.sample) this.room.queue.putBack(this.sample);
    this.sample = null;
  }

  // Called when samples have come, or are known not to.
  changed() {
    if (this.sample) return;
    if (this.room.queue.ahead.length) this.next();
    else this.empty();
  }

  next() {
    const sample = this.room.queue.take();
    if (sample) this.show(sample);
    else this.empty();
  }

  show(sample) {
    this.sample = sample;
    this.seen = { guess: false, why: false };
    this.guessed = null;
    [this.flags, this.critique, this.replaces] = [[], null, null];
    this.stage.show(sample);
    this.picker.reset();
    this.panels.replaceChildren();
    this.element.classList.remove("idle");
    this.origin.hidden = sample.origin !== "synthetic";
    this.press("guess", false);
    this.press("why", false);
    const hidden = !this.room.me.may_show_guess || !sample.can_show_guess;
    for (const name of ["guess", "why"]) {
      this.part(name).disabled = hidden;
      this.part(name).title = hidden ? "hidden here, so that it cannot sway you" : "";
    }
    this.part("accept").disabled = hidden;
    this.stage.element.focus({ preventScroll: true });
    this.clock.restart();
    if (sample.comments) this.showComments(sample);
  }

  empty() {
    const { queue, me } = this.room;
    const done = me.progress && me.progress.done >= me.progress.asked;
    this.sample = null;
    this.element.classList.add("idle");
    this.panels.replaceChildren();
    const said = queue.asking ? "Fetching samples…" : queue.failed ? `No samples: ${queue.failed.message}. Trying again.`
      : `${done ? `Round ${me.round} is done. ` : ""}Nothing to decide right now. More comes by itself, as soon as there is any.`;
    this.stage.empty(el("p", { class: "lead" }, said));
  }

  part(name) {
    return this.actions.querySelector(`[data-act=${name}]`);
  }

  press(name, pressed) {
    this.part(name).setAttribute("aria-pressed", String(pressed));
  }

  key(event) {
    if (event.key === "u") return this.act("undo"), true;
    if (!this.sample) return false;
    if (["+", "-", "0", "="].includes(event.key) && this.zoomed(event.key)) return true;
    if (this.keys[event.key]) return this.act(this.keys[event.key]), true;
    return this.picker.press(event);
  }

  zoomed(key) {
    if (this.sample.modality !== "image" || (key === "0" && this.picker.digits.has("0"))) return false;
    if (key === "0") this.stage.zoom.reset();
    else this.stage.zoom.by(key === "-" ? 1 / 1.4 : 1.4);
    return true;
  }

  act(name) {
    if (name !== "undo" && !this.sample) return;
    if (name === "reject" || name === "later" || name === "skip") this.answer(name, null);
    else if (name === "comment") this.remark();
    else this[name]();
  }

  label(label) {
    const accepted = this.seen.guess && this.guessed?.suggested === label;
    if (label.startsWith("new:")) this.room.proposed(label);
    this.answer(accepted ? "accept" : "correct", label);
  }

  answer(action, label) {
    const { sample } = this;
    const answer = answerTo(sample, action, label, {
      flags: this.flags,
      comment: this.critique,
      seconds: Number(this.clock.seconds.toFixed(3)),
      saw_guess: this.seen.guess,
      saw_why: this.seen.why,
      replaces: this.replaces,
    });
    this.last = { sample, answer };
    clearNote();
    this.room.queue.answered(sample);
    this.room.outbox.add(answer);
    this.next();
  }

  // The label that a sample was made for is only taken once it was seen.
  async accept() {
    if (this.part("accept").disabled) return tell("The guess is hidden here: choose the label yourself.");
    if (this.seen.guess) return this.answer("accept", this.guessed.suggested);
    await this.guess();
    if (this.seen.guess) tell("This is the suggested label. Press a again to accept it.");
  }

  async flag() {
    const { sample } = this;
    const said = await askFlags(this.room.me.flags, this.flags);
    if (!said || sample !== this.sample) return;
    this.flags = said.flags;
    if (!said.decide) return this.answer("flag", null);
    this.panel("flags", el("p", {}, `Flagged: ${said.flags.join(", ")}. It goes with your answer.`));
  }

  async remark() {
    const { sample } = this;
    const said = await askComment(sample, this.critique);
    if (sample !== this.sample) return;
    if (said !== null) this.critique = said || null;
    if (this.critique) this.panel("critique", el("p", {}, "With your answer: ", el("q", { dir: "auto" }, this.critique)));
    if (sample.comments) this.showComments(sample);
  }

  async showComments(sample) {
    const list = await commentsOf(sample.task).catch(() => []);
    if (sample === this.sample && list.length) this.panel("comments", el("h2", {}, "Comments"), el("ul", { class: "comments" }, ...list));
  }

  async guess() {
    const { sample } = this;
    if (this.part("guess").disabled) return tell("The guess is hidden here, so that it cannot sway you.");
    if (this.closed("guess")) return;
    const got = await this.asked(`/api/tasks/${sample.task}/guess`);
    if (!got || sample !== this.sample) return;
    [this.guessed, this.seen.guess] = [got, true];
    this.press("guess", true);
    const sure = got.confidence === null || got.confidence === undefined ? "" : `, probability ${number(got.confidence, 2)}`;
    const what = sample.origin === "synthetic" ? "Made as" : "Guess";
    this.panel("guess", el("p", {}, `${what}: `, el("strong", { dir: "auto" }, spoken(got.suggested, this.room.me.multi)), sure));
  }

  async why() {
    const { sample } = this;
    if (this.part("why").disabled) return tell("The reason is hidden here, so that it cannot sway you.");
    if (this.closed("why")) return;
    const got = await this.asked(`/api/tasks/${sample.task}/why`);
    if (!got || sample !== this.sample) return;
    this.seen.why = true;
    this.press("why", true);
    this.panel("why", ...reasons(got, this.room.me.multi));
  }

  closed(name) {
    const panel = this.panels.querySelector(`[data-panel=${name}]`);
    panel?.remove();
    this.press(name, false);
    return Boolean(panel);
  }

  async asked(path) {
    return get(path).catch((error) => tell(error.message, "bad"));
  }

  panel(name, ...content) {
    this.panels.querySelector(`[data-panel=${name}]`)?.remove();
    this.panels.prepend(el("section", { class: "panel", data: { panel: name } }, ...content));
  }

  async undo() {
    const { outbox, queue } = this.room;
    if (this.last && outbox.takeBack(this.last.answer.answer_id)) return this.again(this.last.sample, this.last.answer);
    if (!(await outbox.flush())) return tell("The server does not answer: this can be undone once it does.", "bad");
    try {
      const { sample, answer } = await post("/api/undo");
      if (!sample) return tell("There is nothing to undo.");
      queue.load(sample);
      this.again(sample, answer);
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  again(sample, answer) {
    if (this.sample) this.room.queue.putBack(this.sample);
    this.room.queue.shown.add(sample.task);
    this.last = null;
    this.show(sample);
    tell(`Taken back: ${answer.label === null ? answer.action : spoken(answer.label, this.room.me.multi)}`);
  }
}

// Why a sample was asked, as the server tells it.
function reasons(why, multi) {
  const terms = [["uncertainty", why.U], ["diversity", why.Div], ["quality", why.Q]].filter(([, value]) => typeof value === "number");
  const near = (title, shown) =>
    shown?.length ? [el("h3", {}, title), el("div", { class: "near" }, ...shown.map((one) => tile(one, spoken(one.label, multi))))] : [];
  return [
    el("h2", {}, "Why it was asked"),
    el("p", { dir: "auto" }, why.sentence ?? "Nothing is told of this one."),
    terms.length ? el("p", { class: "dim" }, terms.map(([name, value]) => `${name} ${number(value, 2)}`).join(" · ")) : null,
    ...(why.gap ? [el("h3", {}, "The gap it may fill"), el("p", { dir: "auto" }, why.gap.words ?? ""), ...near("From that gap", why.gap.exemplars)] : []),
    ...near("Nearest labelled samples", why.neighbours),
  ].filter(Boolean);
}
