// The small questions beside a sample: why not, and what is there to say about it.

import { get, post } from "./api.js";
import { button, dialog, el, kbd, tell } from "./dom.js";

const LONGEST = 100; // characters of a flag

// -> {flags, decide} or null; decide: the flags go with a label that is still to come.
export function askFlags(known, already) {
  return dialog("Flag this sample", (close, box) => {
    const own = el("input", { type: "text", maxlength: "200", id: "own-flag", value: already.filter((f) => !known.includes(f)).join("; ") });
    const boxes = known.map((flag, place) => el("input", { type: "checkbox", value: flag, checked: already.includes(flag), autofocus: place === 0 }));
    const wrong = el("p", { class: "bad", role: "alert" });
    const flags = () => [
      ...boxes.filter((b) => b.checked).map((b) => b.value),
      ...own.value.split(";").map((words) => words.trim().slice(0, LONGEST)).filter(Boolean),
    ];
    const finish = (decide) => {
      if (flags().length) close({ flags: flags(), decide });
      else wrong.textContent = "Say what it is, or press Escape.";
    };
    box.addEventListener("keydown", (event) => {
      const place = Number(event.key) - 1;
      if (event.key === "Enter" && !(event.target instanceof HTMLButtonElement)) finish(event.shiftKey);
      else if (event.target !== own && boxes[place]) boxes[place].checked = !boxes[place].checked;
      else return;
      event.preventDefault();
    });
    const row = (one, place) => el("label", { class: "check" }, one, kbd(place + 1), known[place]);
    return [
      el("div", { class: "stack" }, ...boxes.map(row)),
      el("label", { for: "own-flag" }, "in own words (several: with ;)"), own,
      el("p", { class: "dim" }, "Flagged, a sample is set aside undecided. With Shift it keeps the flag and you still decide."),
      wrong,
      el("div", { class: "row" }, button("Set aside", "Enter", () => finish(false), { class: "main" }), button("Keep the flag, and decide", "Shift+Enter", () => finish(true))),
    ];
  });
}

// -> the critique that goes with the answer, or null; what is for others is posted from here.
export function askComment(sample, already) {
  return dialog("Say something about this sample", (close, box) => {
    const words = el("textarea", { rows: "4", maxlength: "2000", id: "critique" }, already ?? "");
    const wrong = el("p", { class: "bad", role: "alert" });
    const share = async () => {
      if (!words.value.trim()) return;
      try {
        await post(`/api/tasks/${sample.task}/comments`, { text: words.value.trim() });
        sample.comments += 1;
        tell("Your comment is there for everybody who sees this sample.");
        close(already ?? null);
      } catch (error) {
        wrong.textContent = error.message;
      }
    };
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.target instanceof HTMLButtonElement) return;
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) share();
      else close(words.value.trim());
    });
    return [
      el("label", { for: "critique" }, "A short critique: what is wrong or odd"), words, wrong,
      el("div", { class: "row" },
        button("With my answer", "Enter", () => close(words.value.trim()), { class: "main" }),
        button("As a comment for others", "Ctrl+Enter", share)),
    ];
  });
}

export async function commentsOf(task) {
  const got = await get(`/api/tasks/${task}/comments`);
  return got.comments.map((one) =>
    el("li", {}, el("strong", { dir: "auto" }, one.by), " ", el("span", { dir: "auto" }, one.text)),
  );
}
