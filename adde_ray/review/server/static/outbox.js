// Answers on their way to the server. Each is kept in the browser until the server has it, so that neither a reload
// nor an outage loses one; an answer's id makes sending it again harmless.

import { get, post } from "./api.js";

const MOST = 100;
const NEVER = new Set([400, 404, 409, 413, 422]);

export class Outbox {
  // `prefix`: the run and the person; `name`: the person. `told(state)` with {state: "saved" | "saving" | "offline" | "signed out", unsent}.
  constructor(prefix, name, { told, refused, progress }) {
    Object.assign(this, { prefix: `adde-review/${prefix}/`, name, told, refused, progress });
    this.tried = new Set();
    this.notTaken = new Set();
    this.sending = null;
    this.wait = 500;
    this.most = MOST;
    this.state = "saved";
    this.count = 0;
    this.kept = new Map(this.stored());
    this.leaving = new AbortController();
    addEventListener("online", () => this.flush(), { signal: this.leaving.signal });
    addEventListener("pagehide", () => this.flush(), { signal: this.leaving.signal });
    this.say(this.kept.size ? "saving" : "saved");
    if (this.kept.size) this.later(0);
  }

  *stored() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    for (const key of keys.sort()) yield [key, JSON.parse(localStorage.getItem(key))];
  }

  get unsent() {
    return [...this.kept.values()];
  }

  add(...answers) {
    for (const answer of answers) {
      const order = `${String(Date.now()).padStart(15, "0")}-${String(this.count++).padStart(6, "0")}`;
      const key = `${this.prefix}${order}-${answer.answer_id}`;
      this.kept.set(key, answer);
      try {
        localStorage.setItem(key, JSON.stringify(answer));
      } catch {
        // A full or forbidden storage: the answer is still sent, only a reload would lose it.
      }
    }
    this.say(this.state === "offline" ? "offline" : "saving");
    if (this.state !== "offline") this.later(0);
  }

  // Nothing more is sent from here; what is kept is found again by the next one.
  close() {
    this.leaving.abort();
    clearTimeout(this.timer);
    this.told = this.refused = this.progress = () => {};
  }

  // The answer taken out again, while no server can know of it.
  takeBack(id) {
    const found = [...this.kept].find(([, answer]) => answer.answer_id === id);
    if (!found || this.tried.has(id)) return false;
    this.drop(found[0]);
    this.say(this.kept.size ? this.state : "saved");
    return true;
  }

  drop(key) {
    this.kept.delete(key);
    localStorage.removeItem(key);
  }

  later(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), milliseconds);
  }

  // True when nothing is left to send.
  async flush() {
    while (this.kept.size) {
      this.sending ??= this.send().finally(() => (this.sending = null));
      if (!(await this.sending)) return false;
    }
    return true;
  }

  async send() {
    const batch = [...this.kept].slice(0, this.most);
    for (const [, answer] of batch) this.tried.add(answer.answer_id);
    try {
      const done = await post("/api/answers", { answers: batch.map(([, answer]) => answer) });
      const settled = new Set([...done.accepted, ...done.refused.map((one) => one.answer_id)]);
      for (const [key, answer] of batch) if (settled.has(answer.answer_id)) this.drop(key);
      if (done.refused.length) this.refuse(done.refused);
      if (done.progress) this.progress(done.progress);
      if (!settled.size) return this.fail("offline");
      this.most = MOST;
      this.wait = 500;
      this.say(this.kept.size ? "saving" : "saved");
      return true;
    } catch (error) {
      return this.mend(error, batch);
    }
  }

  async mend(error, batch) {
    if (error.status === 401) return this.fail("signed out");
    if (error.status === 403) {
      // Another session began in this browser: its token comes with who it is, and nobody answers for somebody else.
      const me = await get("/api/me").catch(() => null);
      return this.fail(me && me.name !== this.name ? "signed out" : "offline");
    }
    if (!NEVER.has(error.status)) return this.fail("offline");
    if (batch.length > 1) {
      this.most = 1; // which of them it is
      return true;
    }
    this.drop(batch[0][0]);
    this.refuse([{ answer_id: batch[0][1].answer_id, error: error.message }]);
    this.say(this.kept.size ? "saving" : "saved");
    return true;
  }

  refuse(refused) {
    for (const { answer_id } of refused) this.notTaken.add(answer_id);
    this.refused(refused);
  }

  // Adds an answer and waits for it; false: it is not there yet, or was not taken.
  async addNow(answer) {
    this.add(answer);
    return (await this.flush()) && !this.notTaken.has(answer.answer_id);
  }

  fail(state) {
    this.say(state);
    if (state === "offline") this.later(this.wait);
    this.wait = Math.min(15000, 2 * this.wait);
    return false;
  }

  say(state) {
    this.state = state;
    this.told({ state, unsent: this.kept.size });
  }
}
