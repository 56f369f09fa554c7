// How the round goes, for its owner; looked at anew every few seconds.

import { get, post, withQuery } from "./api.js";
import { answerTo } from "./answer.js";
import { button, dialog, el, number, percent, svg, tell } from "./dom.js";
import { spoken } from "./labels.js";
import { LatentMap } from "./map.js";
import { Picker } from "./picker.js";
import { tile } from "./stage.js";

const EVERY = 3000; // milliseconds
const MOST_CLASSES = 30; // of a confusion matrix

export class Owner {
  constructor(room) {
    this.room = room;
    this.multi = room.me.multi;
    this.sections = {};
    this.drawn = {};
    this.map = new LatentMap({ lassoed: (points) => this.lassoed(points) });
    this.person = el("select", { id: "confused", on: { change: () => this.drawConfusions() } });
    this.matrix = el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Confusions" });
    const live = [["progress", "Progress"], ["disagreements", "Disagreements to settle"], ["proposed", "Proposed classes"], ["people", "People"], ["classes", "Classes"], ["flags", "Flags"]];
    this.element = el(
      "div",
      { class: "owner" },
      ...live.map(([name, title]) => this.section(name, title)),
      el("section", {}, el("h2", {}, "Confusions"), el("p", {}, el("label", { for: "confused" }, "Person "), this.person), this.matrix),
      el("section", {}, el("h2", {}, "Map"), el("p", { class: "dim" }, "Draw around points to see their samples, and to ask again about them."), this.map.element),
    );
  }

  section(name, title) {
    this.sections[name] = el("div", {}, el("p", { class: "dim" }, "Not known yet."));
    return el("section", { id: `live-${name}` }, el("h2", {}, title), this.sections[name]);
  }

  enter() {
    this.look();
    this.timer = setInterval(() => !document.hidden && this.look(), EVERY);
  }

  leave() {
    clearInterval(this.timer);
  }

  changed() {}

  key() {
    return false;
  }

  async look() {
    try {
      const [overview, classes, confusions] = await Promise.all([get("/api/overview"), get("/api/classes"), get("/api/confusions")]);
      const { progress, people, agreement, anchoring } = overview;
      this.draw("progress", { progress, people, agreement, anchoring }, (found) => progressTiles(found));
      this.draw("map", progress, () => (this.drawMap(), []), el("div"));
      this.draw("disagreements", overview.disagreements, (all) => this.disagreements(all));
      this.draw("proposed", classes.proposed, (all) => this.proposals(all, classes.classes));
      this.draw("people", overview.people, peopleTable);
      this.draw("classes", overview.classes, (all) => classTable(all, this.multi));
      this.draw("flags", overview.flags, (all) => this.flags(all));
      this.confusions = confusions;
      this.draw("confusions", confusions, () => (this.offerPeople(), []), el("div"));
    } catch (error) {
      tell(error.message, "bad");
    }
  }

  // Only what changed is drawn anew, and nothing that somebody is about to use.
  draw(name, data, make, place = this.sections[name]) {
    const now = JSON.stringify(data);
    if (this.drawn[name] === now || place.contains(document.activeElement)) return;
    this.drawn[name] = now;
    place.replaceChildren(...[make(data)].flat());
  }

  // --- what is to be settled ---

  disagreements(all) {
    if (!all.length) return el("p", { class: "dim" }, "None: wherever two people answered, they agree.");
    return el("div", { class: "cards" }, ...all.map((one) => this.disagreement(one)));
  }

  disagreement({ sample, answers }) {
    const said = answers.map((answer) => el("li", { dir: "auto" }, `${answer.annotator}: ${this.words(answer)}`));
    const choices = [...new Map(answers.map((answer) => [this.words(answer), answer])).values()];
    const settle = (answer) => () => this.settle(sample, answer.action === "accept" ? "correct" : answer.action, answer.label);
    return tile(
      sample,
      el("ul", {}, ...said),
      el("div", { class: "row" }, ...choices.map((answer) => button(this.words(answer), "", settle(answer), { dir: "auto" })), button("Other…", "", () => this.other(sample))),
    );
  }

  words({ action, label }) {
    return ["accept", "correct"].includes(action) ? spoken(label, this.multi) : action;
  }

  async other(sample) {
    const label = await dialog("What is it?", (close) => [tile(sample), new Picker({ ...this.room.labelling(), picked: close }).element]);
    if (label !== null) await this.settle(sample, "correct", label);
  }

  async settle(sample, action, label) {
    if (await this.room.outbox.addNow(answerTo(sample, action, label, { settle: true }))) tell(`Settled: ${this.words({ action, label })}`);
    await this.redraw("disagreements");
  }

  proposals(all, classes) {
    const open = all.filter((one) => one.state === "proposed");
    if (!open.length) return el("p", { class: "dim" }, "None.");
    return el("div", { class: "cards" }, ...open.map((one) => this.proposal(one, classes)));
  }

  proposal({ name, by }, classes) {
    const into = el("select", { "aria-label": `class to merge ${name} into` }, ...classes.map((known) => el("option", {}, known)));
    const settle = (as) => async () => {
      try {
        await post(`/api/classes/${encodeURIComponent(name)}/settle`, { as, into: as === "merge" ? into.value : null });
        tell(`${name}: ${{ adopt: "adopted", merge: `merged into ${into.value}`, refuse: "refused" }[as]}`);
      } catch (error) {
        tell(error.message, "bad");
      }
      await this.redraw("proposed");
    };
    return el(
      "div",
      { class: "tile" },
      el("p", {}, el("strong", { dir: "auto" }, name), el("span", { class: "dim" }, ` by ${by}`)),
      el("div", { class: "row" }, button("Adopt", "", settle("adopt")), button("Refuse", "", settle("refuse"))),
      el("div", { class: "row" }, button("Merge into", "", settle("merge")), into),
    );
  }

  async redraw(name) {
    document.activeElement?.blur();
    delete this.drawn[name];
    await this.look();
  }

  flags(all) {
    const counts = Object.entries(all);
    if (!counts.length) return el("p", { class: "dim" }, "None.");
    return bars(counts.map(([name, count]) => [name, count, String(count)]));
  }

  // --- confusions ---

  offerPeople() {
    const now = this.person.value;
    this.person.replaceChildren(...Object.keys(this.confusions.people).map((name) => el("option", {}, name)));
    if (now in this.confusions.people) this.person.value = now;
    this.drawConfusions();
  }

  drawConfusions() {
    const all = this.confusions.people[this.person.value];
    if (!all) return this.matrix.replaceChildren(el("p", { class: "dim" }, "Not known yet."));
    const rows = mostConfused(all);
    const classes = rows.map((row) => this.confusions.classes[row]);
    const counts = rows.map((row) => rows.map((column) => all[row][column]));
    const most = Math.max(1, ...counts.flat());
    const left = all.length - rows.length;
    const cell = (count, truth, given) => {
      const heat = count ? Math.ceil((5 * count) / most) : 0;
      const open = () => this.openCell(classes[truth], classes[given]);
      const label = `${count}: settled as ${classes[truth]}, answered ${classes[given]}`;
      return el("td", { class: `n heat${heat}${truth === given ? " right" : ""}` }, count ? el("button", { type: "button", "aria-label": label, on: { click: open } }, count) : "");
    };
    const name = (text) => el("span", { dir: "auto" }, text);
    this.matrix.replaceChildren(
      el("table", { class: "confusions" },
        el("caption", {}, `rows: what it is; columns: what was answered${left ? `; ${left} classes with fewer confusions are left out` : ""}`),
        el("thead", {}, el("tr", {}, el("td"), ...classes.map((c) => el("th", { scope: "col" }, name(c))))),
        el("tbody", {}, ...counts.map((row, truth) => el("tr", {}, el("th", { scope: "row" }, name(classes[truth])), ...row.map((count, given) => cell(count, truth, given)))))),
    );
  }

  async openCell(truth, given) {
    const person = this.person.value;
    await this.openSamples(`${person}: ${spoken(truth, this.multi)} answered as ${spoken(given, this.multi)}`, { person, truth, given });
  }

  // --- map ---

  async drawMap() {
    try {
      const { points } = await get(`/api/map/${this.room.me.round}`);
      if (!this.map.line) this.map.show(points);
    } catch (error) {
      this.map.legend.textContent = error.message;
    }
  }

  async lassoed(points) {
    this.map.mark(points.map((point) => point.sample_id));
    if (points.length) await this.openSamples(`${points.length} samples of the map`, { ids: points.map((point) => point.sample_id).join(",") });
  }

  // Samples in a dialog, and one click that asks about them again.
  async openSamples(title, which) {
    let samples;
    try {
      ({ samples } = await get(withQuery("/api/samples", which)));
    } catch (error) {
      return tell(error.message, "bad");
    }
    const reason = await dialog(title, (close) => {
      const words = el("input", { type: "text", id: "reason", maxlength: "200", value: title });
      return [
        el("div", { class: "sheet", tabindex: "0", role: "region", "aria-label": "Samples" }, ...samples.map((sample) => tile(sample, el("span", { dir: "auto" }, sample.label === null ? "not labelled" : spoken(sample.label, this.multi))))),
        el("label", { for: "reason" }, "Why"), words,
        el("div", { class: "row" }, button(`Ask again about these ${samples.length}`, "", () => close(words.value), { class: "main", disabled: !samples.length })),
      ];
    });
    if (reason === null) return;
    try {
      await post("/api/again", { sample_ids: samples.map((sample) => sample.sample_id), reason });
      tell(`${samples.length} samples will be asked about again.`);
    } catch (error) {
      tell(error.message, "bad");
    }
  }
}

// --- figures and tables ---

// The rows of at most so many classes, those that are most often taken for others, in their order.
function mostConfused(counts) {
  const sum = (row) => counts[row].reduce((total, count, column) => total + count + (column === row ? 0 : 1000 * (count + counts[column][row])), 0);
  const rows = counts.map((_, row) => row);
  return rows.map((row) => [sum(row), row]).sort((a, b) => b[0] - a[0]).slice(0, MOST_CLASSES).map(([, row]) => row).sort((a, b) => a - b);
}

function figure(name, value, note = "") {
  return el("div", { class: "figure" }, el("div", { class: "name" }, name), el("div", { class: "value" }, value), el("div", { class: "note" }, note));
}

function progressTiles({ progress, people, agreement, anchoring }) {
  const rounds = Array.isArray(progress) ? progress : [progress];
  const now = rounds.at(-1) ?? { done: 0, asked: 0, answered: 0, answers: 0 };
  const per_hour = people.reduce((sum, one) => sum + (one.per_hour ?? 0), 0);
  const opinions = now.answered ? now.answers / now.answered : 1; // on a sample, so far
  const left = Math.max(0, now.asked - now.done) * opinions;
  const hours = left / per_hour;
  const pace = !left || !per_hour ? "" : hours < 1 ? `${Math.ceil(60 * hours)} min left at this pace` : `${number(hours)} h left at this pace`;
  const range = agreement?.alpha === null || !agreement ? "needs two people" : `${number(agreement.low, 2)} to ${number(agreement.high, 2)}`;
  return [
    el("div", { class: "tiles-row" },
      figure("decided", `${now.done} of ${now.asked}`, pace),
      figure("answers an hour", number(per_hour, 0), `${people.length} ${people.length === 1 ? "person" : "people"}`),
      figure("agreement (α)", number(agreement?.alpha, 2), range),
      swayed(anchoring)),
    rounds.length > 1 ? bars(rounds.map((one) => [`round ${one.round}`, one.asked ? one.done / one.asked : 0, `${one.done} of ${one.asked}`]), 1) : null,
  ].filter(Boolean);
}

// How much more often the suggested label is given where it may be uncovered.
function swayed({ shown, hidden, difference }) {
  const points = (value) => new Intl.NumberFormat("en", { signDisplay: "exceptZero" }).format(Math.round(100 * value));
  const name = "suggestions taken, shown less hidden";
  if (difference.value === null) return figure(name, "–", "needs answers with and without suggestions");
  const note = `${points(difference.low)} to ${points(difference.high)}; shown ${percent(shown.value)} of ${shown.n}, hidden ${percent(hidden.value)} of ${hidden.n}`;
  return figure(name, `${points(difference.value)} points`, note);
}

function table(head, rows, label) {
  return el("div", { class: "table", tabindex: "0", role: "region", "aria-label": label },
    el("table", {}, el("thead", {}, el("tr", {}, ...head.map((name, place) => el("th", { scope: "col", class: place ? "n" : null }, name)))), el("tbody", {}, ...rows)));
}

const cells = (name, values) => el("tr", {}, el("th", { scope: "row", dir: "auto" }, name), ...values.map((value) => el("td", { class: "n" }, value)));

function peopleTable(people) {
  const rows = people.map((one) =>
    cells(one.name, [one.answers, number(one.per_hour, 0), number(one.median_seconds), percent(one.gold_accuracy), percent(one.agreement), spark(one.drift)]));
  return table(["person", "answers", "per hour", "median seconds", "right on gold", "agrees with others", "over time"], rows, "People");
}

function classTable(classes, multi) {
  const most = Math.max(1, ...classes.map((one) => one.confirmed));
  const rows = classes.map((one) =>
    cells(spoken(one.name, multi), [one.confirmed, bar(one.confirmed / most), number(one.median_seconds), percent(one.agreement)]));
  return table(["class", "confirmed", "compared", "median seconds", "agreement"], rows, "Classes");
}

function bar(share) {
  const filled = el("span", { class: "filled" });
  filled.style.width = `${100 * Math.min(1, share)}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, filled);
}

function bars(rows, most = Math.max(1, ...rows.map(([, value]) => value))) {
  return el("ul", { class: "bars" }, ...rows.map(([name, value, words]) => el("li", {}, el("span", { dir: "auto" }, name), bar(value / most), el("span", { class: "n" }, words))));
}

// Agreement over time, in [0, 1], as a small line.
function spark(values) {
  const known = (values ?? []).filter((value) => value !== null);
  if (known.length < 2) return "–";
  const points = known.map((value, place) => `${(place / (known.length - 1)) * 96 + 2},${22 - 20 * value}`).join(" ");
  const words = `from ${percent(known[0])} to ${percent(known.at(-1))}`;
  return el("span", { class: "drift" }, words.replace("from ", ""), svg("svg", { class: "spark", viewBox: "0 0 100 24", width: "100", height: "24", role: "img", "aria-label": words }, svg("polyline", { points })));
}
