// What I have answered, in this round and the earlier ones; any of it can be changed, once it is told what that changes.

import { get, post, withQuery } from "./api.js";
import { answerTo } from "./answer.js";
import { button, dialog, el, tell } from "./dom.js";
import { spoken } from "./labels.js";
import { Picker } from "./picker.js";
import { small } from "./stage.js";

const PAGE = 50;

export class Mine {
  constructor(room) {
    this.room = room;
    this.rows = el("tbody");
    this.round = el("select", { id: "mine-round", on: { change: () => this.load() } });
    this.more = button("Earlier ones", "", () => this.load(this.oldest), { hidden: true });
    const head = ["sample", "answer", "round", "when", "seconds", "change"].map((name) => el("th", { scope: "col" }, name));
    this.element = el(
      "div",
      { class: "mine" },
      el("h2", {}, "My answers"),
      el("p", {}, el("label", { for: "mine-round" }, "Round "), this.round),
      el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "My answers" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), this.rows)),
      this.more,
    );
  }

  async enter() {
    await this.room.outbox.flush(); // what was just answered is part of it
    await this.load();
  }

  leave() {}

  changed() {}

  key() {
    return false;
  }

  async load(before = null) {
    try {
      const { answers, rounds } = await get(withQuery("/api/mine", { round: this.round.value, limit: PAGE, before }));
      const rows = answers.map((one) => this.row(one));
      if (before === null) this.rows.replaceChildren(...rows);
      else this.rows.append(...rows);
      this.oldest = answers.at(-1)?.answer_id ?? null;
      this.offer(rounds);
      this.more.hidden = answers.length < PAGE;
      if (!this.rows.children.length) this.rows.append(el("tr", {}, el("td", { colspan: "6" }, "Nothing answered yet.")));
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  offer(rounds) {
    const chosen = this.round.value;
    this.round.replaceChildren(el("option", { value: "" }, "all"), ...rounds.map((round) => el("option", { value: round }, round)));
    this.round.value = chosen;
  }

  row({ sample, ...answer }) {
    const said = el("span", { dir: "auto" }, words(answer, this.room.me.multi));
    const beside = [...(answer.flags ?? []), ...(answer.comment ? [`“${answer.comment}”`] : [])];
    const amend = button("Amend", "", () => this.amend(sample, answer));
    return el(
      "tr",
      { data: { answer: answer.answer_id } },
      el("td", { class: "sample" }, small(sample, 64)),
      el("td", {}, said, beside.length ? el("div", { class: "dim", dir: "auto" }, beside.join(" · ")) : null),
      el("td", { class: "n" }, sample.round),
      el("td", {}, new Date(answer.when).toLocaleString([], { dateStyle: "short", timeStyle: "short" })),
      el("td", { class: "n" }, Number(answer.seconds).toFixed(1)),
      el("td", {}, amend),
    );
  }

  async amend(sample, answer) {
    const began = performance.now();
    const chosen = await dialog("Amend this answer", (close) => this.choice(sample, answer, close));
    if (!chosen) return;
    const seconds = Number(((performance.now() - began) / 1000).toFixed(3));
    const amended = answerTo(sample, chosen.action, chosen.label, { replaces: answer.answer_id, comment: answer.comment, seconds });
    if (chosen.label?.startsWith("new:")) this.room.proposed(chosen.label);
    if (await this.room.outbox.addNow(amended)) tell(`Amended: ${words(amended, this.room.me.multi)}`);
    await this.load();
  }

  choice(sample, answer, close) {
    let chosen = null;
    const changes = el("div", { class: "changes", "aria-live": "polite" });
    const done = button("Amend", "", () => close(chosen), { class: "main", disabled: true });
    const choose = async (action, label) => {
      chosen = { action, label };
      picker.mark(label);
      done.disabled = true;
      changes.replaceChildren(el("p", { class: "dim" }, "Working out what that changes…"));
      try {
        const got = await post(`/api/answers/${answer.answer_id}/preview`, { action, label });
        if (chosen.action !== action || chosen.label !== label) return;
        const sentences = got.changes.map((sentence) => el("li", { dir: "auto" }, sentence));
        const now = `Instead of ${words(answer, this.room.me.multi)}: ${words(chosen, this.room.me.multi)}`;
        changes.replaceChildren(el("p", {}, now), el("ul", {}, ...sentences));
        done.disabled = false;
      } catch (error) {
        changes.replaceChildren(el("p", { class: "bad" }, error.message));
      }
    };
    const picker = new Picker({ ...this.room.labelling(), picked: (label) => choose("correct", label), name: "New label" });
    picker.reset(answer.label);
    return [
      el("div", { class: "amended" }, small(sample, 160)),
      picker.element,
      el("div", { class: "row" }, button("Reject", "", () => choose("reject", null)), button("Flag", "", () => choose("flag", null))),
      changes,
      el("div", { class: "row" }, done),
    ];
  }
}

const PUT = { reject: "rejected", flag: "flagged" };

const words = ({ action, label }, multi) => (["accept", "correct"].includes(action) ? spoken(label, multi) : (PUT[action] ?? action));
