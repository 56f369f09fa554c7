// Labels as text, in the form that the run keeps, and which key stands for which class.

export const NONE = "none";
export const NEW = "new:";

// What people read of a label: "Edema, Fracture, unknown: Pneumonia".
export function spoken(label, multi) {
  if (label === null || label === undefined) return "–";
  if (!multi) return label.startsWith(NEW) ? `new: ${label.slice(NEW.length)}` : label;
  if (label === "") return NONE;
  const { holds, unknown } = split(label);
  return [...holds, ...(unknown.length ? [`unknown: ${unknown.join(", ")}`] : [])].join(", ");
}

export function split(label) {
  const parts = label.split("|").filter(Boolean);
  return { holds: parts.filter((p) => !p.startsWith("?")), unknown: parts.filter((p) => p.startsWith("?")).map((p) => p.slice(1)) };
}

// Sorted by code points, as the run sorts them.
export function join(holds, unknown = []) {
  const order = (names) => [...names].sort((a, b) => compare([...a], [...b]));
  const open = unknown.filter((name) => !holds.includes(name));
  return [...order(holds), ...order(open).map((name) => `?${name}`)].join("|");
}

function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++)
    if (a[i] !== b[i]) return a[i].codePointAt(0) - b[i].codePointAt(0);
  return a.length - b.length;
}

// key -> class. Classes that are called by one digit are picked by it; else the first nine by their place.
export function digits(classes) {
  const named = classes.filter((name) => /^[0-9]$/.test(name));
  if (named.length) return new Map(named.map((name) => [name, name]));
  return new Map(classes.slice(0, 9).map((name, place) => [String(place + 1), name]));
}

const folded = (text) => text.normalize("NFC").toLowerCase();

// Classes that fit what was typed: those that begin so, then words of theirs, then anywhere.
export function search(classes, typed, most = 40) {
  const sought = folded(typed.trim());
  if (!sought) return classes.slice(0, most);
  const ranked = [[], [], []];
  for (const name of classes) {
    const text = folded(name);
    const at = text.indexOf(sought);
    if (at < 0) continue;
    ranked[at === 0 ? 0 : /[\s_\-/.(]/.test(text[at - 1]) ? 1 : 2].push(name);
  }
  return ranked.flat().slice(0, most);
}
