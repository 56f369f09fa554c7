// What the keys do.

import { dialog, el } from "./dom.js";

export function showKeys(keys) {
  const rows = keys.map(([key, does]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, does)));
  return dialog("Keys", () => [el("table", { class: "keys" }, el("tbody", {}, ...rows))]);
}
