// Values of the page, elements and numbers. Every text gets into the page as text, never as markup.

const DATA = JSON.parse(document.getElementById("main-data").textContent);
const TRACES = new Map();

/** An element; `attributes` may hold handlers (on...), `text`, and CSS variables (--...). */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return made;
}

/** The trace of a problem, read when it is first asked for. */
function traceOf(setting, id) {
  const key = `${setting}/${id}`;
  if (!TRACES.has(key)) {
    const found = document.querySelector(`script[data-trace="${CSS.escape(key)}"]`);
    TRACES.set(key, found ? JSON.parse(found.textContent) : null);
  }
  return TRACES.get(key);
}

/** A number to so many places without the zero before the point, such as +.17. */
function short(value, sign = false, places = 2) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(places).replace(/^0\./, ".");
  const zero = Number(value.toFixed(places)) === 0;
  return (zero ? "" : value < 0 ? "−" : sign ? "+" : "") + text;
}

const percent = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`.replace("-", "−"));
const pValue = (value) => (value === null || value === undefined ? "–" : value < 0.001 ? "< .001" : short(value, false, 3));
const interval = (low, high, places = 2) => (low === null || low === undefined ? "" : ` [${short(low, false, places)}, ${short(high, false, places)}]`);
const plain = (value) => (typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value ?? ""));

/** Ranks from 1 of the largest; ties share their mean rank. */
function ranks(values) {
  const order = values.map((_, index) => index).filter((index) => values[index] !== null);
  order.sort((a, b) => values[b] - values[a]);
  const found = values.map(() => null);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let at = start; at < end; at += 1) found[order[at]] = (start + 1 + end) / 2;
    start = end;
  }
  return found;
}

const SETTINGS = DATA.settings.map((one) => one.setting);
const rowsOf = (setting) => DATA.comparison[setting]?.artifact.rows ?? [];
const isProbe = (row) => row.kind === "probe" || row.kind === "increment";
const keyRow = (setting) => {
  const wanted = DATA.settings.find((one) => one.setting === setting)?.row;
  return rowsOf(setting).find((row) => row.name === wanted) ?? null;
};

/** Buttons of which one is pressed. */
function segments(label, names, chosen, choose) {
  const made = names.map((name) =>
    el("button", { type: "button", "aria-pressed": String(name === chosen), text: name, onclick: () => choose(name) }));
  return el("div", { class: "segments", role: "group", "aria-label": label }, made);
}

function select(label, options, chosen, choose) {
  const made = options.map(([value, text]) => el("option", { value, text, selected: value === chosen }));
  return el("label", {}, label, el("select", { onchange: (event) => choose(event.target.value) }, made));
}

function table(heads, rows, numeric = new Set()) {
  const cell = (tag, at, content) => el(tag, { class: numeric.has(at) ? "number" : null }, content);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head, at) => cell("th", at, head)))),
    el("tbody", {}, rows.map((row) => el("tr", { class: row.class ?? null }, row.cells.map((one, at) => cell("td", at, one)))))));
}

/** A name that may break behind its underscores. */
const breaking = (name) => name.split("_").flatMap((one, at, all) => (at < all.length - 1 ? [`${one}_`, el("wbr")] : [one]));
/** The button that closes a card where it lies over the page, on small screens. */
const closing = (close) => el("button", { type: "button", class: "quiet close", text: "✕", "aria-label": "Close", onclick: close });
const link = (hash, text) => el("a", { href: `#${hash}`, text });
const part = (text) => encodeURIComponent(text).replaceAll("%5B", "[").replaceAll("%5D", "]").replaceAll("%7C", "|");
