// Builds elements. Text of people and of data only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// el("p", { class: "dim", on: { click } }, "text", child)
export const el = (name, attributes = {}, ...children) => build(document.createElement(name), attributes, children);

export const svg = (name, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, name), attributes, children);

export const kbd = (key) => el("kbd", { "aria-hidden": "true" }, key);

export function button(text, key, listener, attributes = {}) {
  const shortcut = key ? { "aria-keyshortcuts": key } : {};
  return el("button", { type: "button", ...shortcut, ...attributes, on: { click: listener } }, key ? kbd(key) : null, text);
}

export const byId = (id) => document.getElementById(id);

// Said to people who see and to those who listen; goes away by itself, a mistake later than a note.
let fading = 0;
export function tell(text, kind = "note") {
  const place = byId("notice");
  place.textContent = text;
  place.className = kind;
  clearTimeout(fading);
  fading = setTimeout(() => (place.textContent = ""), kind === "note" ? 5000 : 15000);
}

// A note about what was just done goes when something else is done; a mistake stays.
export function clearNote() {
  const place = byId("notice");
  if (place.className === "note" && place.textContent) place.textContent = "";
}

// A dialog over the page; resolves with what `close` was called with, null when it was left by Escape.
export function dialog(title, fillIn) {
  return new Promise((resolve) => {
    let answer = null;
    const box = el("dialog", { "aria-labelledby": "dialog-title" });
    const close = (value = null) => {
      answer = value;
      box.close();
    };
    box.append(
      el("header", {}, el("h2", { id: "dialog-title" }, title), button("Close", "", () => close(), { class: "plain" })),
      ...fillIn(close, box),
    );
    box.addEventListener("close", () => {
      box.remove();
      resolve(answer);
    });
    document.body.append(box);
    box.showModal();
  });
}

const ALLOWED = new Set(
  "H1 H2 H3 H4 H5 H6 P UL OL LI DL DT DD EM STRONG B I CODE PRE BLOCKQUOTE TABLE THEAD TBODY TR TH TD BR HR A IMG".split(" "),
);

// A copy of HTML with plain elements only: no script, style, form or event comes through.
export function plainHtml(html) {
  const copy = (from, to) => {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
      else if (node.nodeType !== Node.ELEMENT_NODE || /^(SCRIPT|STYLE|TEMPLATE)$/i.test(node.tagName)) continue;
      else if (!ALLOWED.has(node.tagName)) copy(node, to);
      else to.append(copied(node, copy));
    }
    return to;
  };
  return copy(new DOMParser().parseFromString(html, "text/html").body, document.createDocumentFragment());
}

function copied(node, copy) {
  // The page has its own h1 and h2: a guide's headings come below them.
  const level = /^H([1-6])$/.exec(node.tagName)?.[1];
  const made = el(level ? `h${Math.min(6, Number(level) + 2)}` : node.tagName.toLowerCase());
  const href = node.getAttribute("href") ?? "";
  if (node.tagName === "A" && /^(https?:|#)/i.test(href)) build(made, { href, rel: "noreferrer", target: "_blank" }, []);
  if (node.tagName === "IMG") {
    const source = node.getAttribute("src") ?? "";
    if (!source.startsWith("/api/")) return document.createTextNode(node.getAttribute("alt") ?? "");
    build(made, { src: source, alt: node.getAttribute("alt") ?? "" }, []);
  }
  copy(node, made);
  return made;
}

export const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(0)}\u00a0%`);

export const number = (value, digits = 1) => (value === null || value === undefined ? "–" : Number(value).toFixed(digits));
