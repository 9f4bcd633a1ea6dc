// All that is known of one sentence.

function importanceWords(value, error, counts) {
  const effect = value === 0 ? "does not change the accuracy" : `${value > 0 ? "lowers" : "raises"} the accuracy by ${short(Math.abs(value))}`;
  const parts = [el("p", {}, el("span", { class: "big", text: short(value, true, 3) }), error === null ? null : ` ± ${short(1.96 * error)} (95 %)`),
    el("p", { class: "note", text: `The sentence ${effect}, as the data tells it.` })];
  if (counts) {
    const [nOther, kOther, nNext, kNext] = counts;
    parts.push(table(["rollouts", "right", "of", "share"], [
      { cells: ["another sentence in its place", String(kOther), String(nOther), nOther ? percent(kOther / nOther) : "–"] },
      { cells: ["from the next sentence on", String(kNext), String(nNext), nNext ? percent(kNext / nNext) : "–"] },
    ], new Set([1, 2, 3])));
  } else parts.push(el("p", { class: "note", text: "The data does not tell the rollouts behind it." }));
  return parts;
}

function outcomeWords(outcomes) {
  if (!outcomes) return null;
  const said = Object.entries(outcomes).filter(([, n]) => n).map(([name, n]) => `${n} ${name.replace("_", " ")}`);
  return el("p", { class: "note", text: `Rollouts from before it: ${said.join(", ")}.` });
}

function replacedWords(trace, at) {
  const found = trace.replaced[at];
  if (!found?.length) return null;
  const own = trace.text[at].trim();
  return [el("h4", { text: "What stood in its place" }), el("ul", { class: "replaced" }, found.map(([text, times, right]) =>
    el("li", { class: text.trim() === own ? "same" : null }, el("span", { text }), el("b", { text: `${times}×, ${right} right` }))))];
}

function scoresTable(setting, trace, at) {
  const n = trace.text.length;
  const kinds = new Map(rowsOf(setting).map((row) => [row.name, isProbe(row)]));
  const names = Object.keys(trace.scores);
  if (!names.length) return el("p", { class: "note", text: "This problem has no out-of-fold scores." });
  const rows = names.map((name) => ({ name, rank: ranks(trace.scores[name])[at], score: trace.scores[name][at], probe: kinds.get(name) ?? false }));
  rows.sort((a, b) => b.probe - a.probe || (a.rank ?? 1e9) - (b.rank ?? 1e9));
  return table(["score", "rank", "", "value"], rows.map((row) => ({
    class: `${row.probe ? "probe" : ""}${row.name === STATE.probe || row.name === STATE.rival ? " chosen" : ""}`,
    cells: [breaking(row.name), rankText(row.rank), el("span", { class: "meter", "--v": row.rank === null ? 0 : n > 1 ? (1 - (row.rank - 1) / (n - 1)).toFixed(3) : 1 }), row.score === null ? "–" : Number(row.score.toPrecision(3)).toString()],
  })), new Set([1, 3]));
}

function sentenceCard(setting, entry, trace, at) {
  if (at === null) return el("aside", { class: "card detail idle", "aria-label": "Sentence" }, el("h3", { text: "No sentence is chosen" }),
    el("p", { class: "note", text: "Click a sentence, or walk with the arrow keys, to see its importance, its rollouts and every score." }));
  const size = trace.importance.map((one) => Math.abs(one));
  const copied = el("button", { type: "button", class: "quiet", text: "Copy link", onclick: async () => {
    try { await navigator.clipboard.writeText(location.href); copied.textContent = "Copied"; } catch { copied.textContent = "It is in the address bar"; }
  } });
  return el("aside", { class: "card detail", "aria-label": `Sentence ${at}`, "aria-live": "polite" },
    el("h3", {}, `Sentence ${at}`, el("span", {}, trace.anchor[at] ? el("span", { class: "chip warned", text: "anchor" }) : null, " ", copied,
      closing(() => go("traces", setting, entry.id)))),
    el("blockquote", { text: trace.text[at] }),
    el("h4", { text: `Importance, ${rankText(ranks(size)[at])} of ${trace.text.length} by size` }), importanceWords(trace.importance[at], trace.error[at], trace.counts[at]),
    outcomeWords(trace.outcomes[at]),
    replacedWords(trace, at),
    el("h4", { text: "Out-of-fold scores" }), scoresTable(setting, trace, at),
    el("p", { class: "note" }, `Tag: ${trace.tag[at]}. From `, link(`origin/sentences[${part(DATA.corpora[setting])}]`, "sentences"), " and ", link(`origin/cv_scores[${part(setting)}]`, "cv_scores"), "."));
}
