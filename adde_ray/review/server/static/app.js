// The room: who is here, which view is open, what all views share.

import { get, post } from "./api.js";
import { button, byId, el, tell } from "./dom.js";
import { KEYS as GRID_KEYS, Grid } from "./grid.js";
import { showKeys } from "./keys.js";
import { NEW } from "./labels.js";
import { Mine } from "./mine.js";
import { Outbox } from "./outbox.js";
import { Owner } from "./owner.js";
import { Queue } from "./queue.js";
import { KEYS, KEYS_OF_SEVERAL, Single } from "./single.js";

const VIEWS = { one: ["One by one", Single], grid: ["Grid", Grid], mine: ["My answers", Mine], owner: ["Overview", Owner] };
const POLL = 4000; // milliseconds between looks for new samples, while there are none

class Room {
  constructor(me) {
    this.me = me;
    this.classes = [...me.classes];
    this.proposals = new Set();
    this.views = {};
    this.bands = { get: () => this.queue.bands, set: (bands) => this.newBands(bands) };
    this.queue = new Queue({
      unsent: () => this.outbox.unsent.map((answer) => answer.task),
      changed: () => {
        if (this.queue.failed?.status === 401) signIn("Sign in again.");
        else this.view?.changed();
      },
      progress: (progress) => this.progress(progress),
    });
    this.outbox = new Outbox(`${me.run}/${me.name}`, me.name, {
      told: (state) => saved(state),
      refused: (refused) => tell(`Not taken: ${refused.map((one) => one.error).join("; ")}`, "bad"),
      progress: (progress) => this.progress(progress),
    });
  }

  labelling() {
    return { classes: this.classes, multi: this.me.multi, proposed: this.proposals };
  }

  // A class that somebody here has just thought of can be chosen from now on, by anybody who looks for it.
  proposed(label) {
    this.proposals.add(label.slice(NEW.length));
    for (const view of Object.values(this.views)) view.picker?.proposed.add(label.slice(NEW.length));
  }

  newBands(bands) {
    this.queue.bands = bands;
    for (const sample of this.queue.ahead) this.queue.load(sample);
  }

  progress(progress) {
    Object.assign(this.me, { progress, round: progress.round });
    this.view?.changed();
    const { done, asked: total } = progress;
    byId("progress-bar").max = total || 1;
    byId("progress-bar").value = done;
    byId("progress-words").textContent = `${done} of ${total}`;
  }

  open(name) {
    if (!(name in VIEWS) || (name === "owner" && this.me.role !== "owner")) name = "one";
    if (this.name === name) return;
    this.view?.leave();
    this.name = name;
    this.view = this.views[name] ??= new VIEWS[name][1](this);
    for (const link of byId("views").children) link.ariaCurrent = link.hash === `#${name}` ? "page" : null;
    byId("main").replaceChildren(this.view.element);
    document.title = `${VIEWS[name][0]} · ${this.me.run}`;
    this.view.enter();
  }

  keys() {
    if (this.name === "grid") return GRID_KEYS;
    return this.me.multi ? [...KEYS_OF_SEVERAL, ...KEYS.slice(1)] : KEYS;
  }
}

let room = null;

function saved({ state, unsent }) {
  const words = { saved: "saved", saving: "saving…", offline: `offline, ${unsent} unsent`, "signed out": `signed out, ${unsent} unsent` };
  byId("saved").textContent = words[state];
  byId("saved").className = state.replace(" ", "-");
  if (state === "signed out") signIn("Sign in again: your answers are kept here until then.");
}

const FIELDS = "input, textarea, select";

addEventListener("keydown", (event) => {
  if (!room?.view || document.querySelector("dialog[open]") || event.altKey || event.isComposing) return;
  const field = event.target.closest?.(FIELDS);
  if (field) return;
  const control = event.target.closest?.("button, a, summary");
  if (control && (event.key === " " || (event.key === "Enter" && !(room.me.multi && control.closest(".picker"))))) return;
  if (event.key === "?") showKeys(room.keys());
  else if ((event.ctrlKey || event.metaKey) && room.name !== "grid") return;
  else if (!room.view.key(event)) return;
  event.preventDefault();
});

addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
  else room?.open(location.hash.slice(1));
});

setInterval(() => {
  if (document.hidden || !room) return;
  if (room.view?.element.classList.contains("idle") && room.name === "one") room.queue.refill();
}, POLL);

function header(me) {
  byId("top").hidden = false;
  byId("run").textContent = me.run;
  const names = Object.keys(VIEWS).filter((name) => name !== "owner" || me.role === "owner");
  byId("views").replaceChildren(...names.map((name) => el("a", { href: `#${name}` }, VIEWS[name][0])));
  byId("person").replaceChildren(el("span", { dir: "auto" }, me.name), button("Keys", "?", () => showKeys(room.keys()), { class: "plain" }), button("Sign out", "", signOut, { class: "plain" }));
}

async function signOut() {
  if (!(await room.outbox.flush())) return tell("Some answers are not sent yet; sign out once the server answers.", "bad");
  await post("/api/sign-out").catch(() => null);
  location.assign(location.pathname);
}

function signIn(said = "") {
  if (byId("sign-in")) return;
  const token = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const wrong = el("p", { class: "bad", role: "alert" }, said);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post("/api/sign-in", { token: token.value.trim() });
      start();
    } catch (error) {
      wrong.textContent = error.message;
      token.select();
    }
  };
  room?.view?.leave();
  room?.outbox.close();
  room = null;
  byId("top").hidden = true;
  byId("main").replaceChildren(
    el("form", { id: "sign-in", on: { submit } },
      el("h1", {}, "Sign in"),
      el("label", { for: "token" }, "Your token, as you were given it"), token, wrong,
      el("button", { type: "submit", class: "main" }, "Sign in")),
  );
  token.focus();
}

async function start() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    // Out of the address, so that it is neither kept in the history nor read over a shoulder.
    history.replaceState(null, "", location.pathname);
    await post("/api/sign-in", { token }).catch((error) => tell(error.message, "bad"));
  }
  let me;
  try {
    me = await get("/api/me");
  } catch (error) {
    if (error.status === 401) return signIn();
    tell(`${error.message}; trying again`, "bad");
    return setTimeout(start, 2000);
  }
  header(me);
  room = new Room(me);
  if (me.progress) room.progress(me.progress);
  get("/api/classes").then(({ proposed }) => proposed.filter((one) => ["proposed", "adopt"].includes(one.state)).forEach((one) => room.proposed(NEW + one.name))).catch(() => null);
  room.open(location.hash.slice(1) || "one");
}

start();
