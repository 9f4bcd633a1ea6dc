// Checks x cells, at a look.

const MARKS = { passed: "", warned: "!", failed: "✕", errored: "‽", skipped: "" };
const LETTERS = { p: "passed", w: "warned", f: "failed", e: "errored", s: "skipped", "-": "absent" };

function cellButton(line, row, chosen) {
  return el("button", {
    type: "button", class: `cell ${row.status}`, text: MARKS[row.status], "aria-pressed": String(row === chosen), title: `${line.name} of ${line.asset}[${row.partition}]: ${row.status}`,
    "aria-label": `${line.name} of ${line.asset} ${row.partition}: ${row.status}`, onclick: () => go("checks", line.asset, line.name, row.partition),
  });
}

function family(asset, lines, chosen) {
  const columns = DATA.checks.columns.filter((column) => lines.some((line) => line.cells[column]));
  return el("div", { class: "card family" }, el("h3", { text: asset }), el("table", {},
    el("thead", {}, el("tr", {}, el("th", {}, el("span", { class: "hidden", text: "check" })), columns.map((column) => el("th", { scope: "col" }, breaking(column))))),
    el("tbody", {}, lines.map((line) => el("tr", {}, el("td", {}, breaking(line.name)), columns.map((column) => el("td", {}, (line.cells[column] ?? []).map((row) => cellButton(line, row, chosen)))))))));
}

function history(row) {
  const steps = [...row.history].map((letter, at) => {
    const release = DATA.checks.releases[at];
    return el("span", { class: `step ${LETTERS[letter]}`, title: `${release.ended}: ${LETTERS[letter]}` });
  });
  const words = [...row.history].map((letter, at) => `${DATA.checks.releases[at].ended?.slice(0, 10)} ${LETTERS[letter]}`).join(", ");
  if (!steps.length) return [el("h4", { text: "Earlier releases" }), el("p", { class: "note", text: "None is kept." })];
  return [el("h4", { text: steps.length === 1 ? "In the one release that is kept" : `In the last ${steps.length} releases, the latest at the right` }), el("p", { role: "img", "aria-label": words }, steps)];
}

function checkCard(line, row) {
  if (!row) return el("aside", { class: "card detail idle", "aria-label": "Check" }, el("h3", { text: "Choose a square" }), el("p", { class: "note", text: "It shows what was observed, what is required, what a red one means, and what it said in earlier releases." }));
  const figures = row.comparison ? [["observed", `${plain(row.observed)} ${row.unit}`], ["required", `${row.comparison} ${plain(row.threshold)} ${row.unit}`]] : [];
  const facts = [["cell", `${line.asset}[${row.partition}]`], ["severity", line.severity], ...figures, ["looked at", String(row.n)]];
  return el("aside", { class: "card detail", "aria-label": line.name, "aria-live": "polite" },
    el("h3", {}, line.name, el("span", {}, el("span", { class: `chip ${row.status}`, text: row.status }), " ", closing(() => go("checks")))),
    el("dl", { class: "facts" }, facts.map(([name, text]) => [el("dt", { text: name }), el("dd", { text })])),
    row.message ? el("p", { text: row.message }) : null,
    row.offenders?.length ? [el("h4", { text: "What broke it" }), el("ul", { class: "replaced" }, row.offenders.map((text) => el("li", {}, el("span", { text }))))] : null,
    el("h4", { text: "If it is red" }), el("p", { class: "note", text: line.means }), history(row),
    el("p", { class: "note" }, link(`origin/${line.asset}[${part(row.partition)}]`, "Origin of this cell")));
}

function showChecks(view, [asset, name, partition]) {
  const { lines } = DATA.checks;
  const line = lines.find((one) => one.asset === asset && one.name === name) ?? null;
  const row = line ? Object.values(line.cells).flat().find((one) => one.partition === partition) ?? null : null;
  const all = lines.flatMap((one) => Object.values(one.cells).flat());
  const key = (status, words) => el("span", {}, el("span", { class: `cell ${status}`, text: MARKS[status], "aria-hidden": "true" }), `${all.filter((one) => one.status === status).length} ${words}`);
  const assets = [...new Set(Object.keys(DATA.origin).map((one) => one.split("[")[0]))].filter((one) => lines.some((other) => other.asset === one));
  const focused = document.activeElement?.classList.contains("cell");
  view.replaceChildren(
    el("p", { class: "keys" }, key("passed", "passed"), key("warned", "warned"), key("failed", "failed"), key("errored", "errored"), key("skipped", "skipped"), el("span", { text: "One square a cell; of seeds, in their order." })),
    el("div", { class: "check-page" }, el("div", { class: "families" }, assets.map((one) => family(one, lines.filter((other) => other.asset === one), row))), checkCard(line, row)));
  if (row && focused) view.querySelector('.cell[aria-pressed="true"]').focus({ preventScroll: true });
}
