// A trace as text: every sentence shaded, with what the probe and a rival score it.

const STATE = { probe: null, rival: null, order: "disagree", search: "", layout: "rows", shade: "importance", setting: null };

function startTraces(setting) {
  if (STATE.setting === setting) return;
  const names = DATA.scores[setting];
  const best = keyRow(setting);
  const rivals = rowsOf(setting).filter((row) => !isProbe(row)).map((row) => row.name);
  STATE.setting = setting;
  if (!names.includes(STATE.probe)) STATE.probe = best?.name ?? names[names.length - 1] ?? null;
  if (!names.includes(STATE.rival)) STATE.rival = names.includes(best?.against) ? best.against : rivals.find((name) => names.includes(name)) ?? names[0] ?? null;
}

/** What is shown of every sentence of a trace. */
function measured(trace) {
  const size = trace.importance.map((one) => Math.abs(one));
  const largest = Math.max(...size, 1e-12);
  const n = trace.text.length;
  const places = (name) => (trace.scores[name] ? ranks(trace.scores[name]) : trace.text.map(() => null));
  const probe = places(STATE.probe), rival = places(STATE.rival);
  const share = (rank) => (rank === null ? 0 : n > 1 ? 1 - (rank - 1) / (n - 1) : 1);
  const anchors = trace.anchor.reduce((sum, one) => sum + one, 0);
  return trace.text.map((_, at) => ({
    importance: size[at] / largest, size: size[at], anchor: trace.anchor[at] === 1,
    probe: share(probe[at]), rival: share(rival[at]), probeRank: probe[at], rivalRank: rival[at],
    first: probe[at] !== null && probe[at] <= anchors, rivalFirst: rival[at] !== null && rival[at] <= anchors, ranked: probe[at] !== null,
  }));
}

const rankText = (rank) => (rank === null ? "–" : `#${Number.isInteger(rank) ? rank : rank.toFixed(1)}`);

function sentenceRow(trace, one, at, chosen, open) {
  const flag = !one.ranked ? null : one.anchor && !one.first ? "missed" : !one.anchor && one.first ? "false alarm" : null;
  const meaning = { missed: "an anchor that the probe does not rank among the first", "false alarm": "no anchor, but among the first of the probe" };
  const bar = (kind, value, text, first, said = null) => el("span", { class: `score ${kind}${first ? " first" : ""}`, "--v": value.toFixed(3) }, el("i"), el("b", { text }), said ? el("span", { class: "flag", text: said, title: meaning[said] }) : null);
  const before = trace.before[at];
  const made = el("div", {
    class: `sentence${one.anchor ? " anchor" : ""}${/\n\s*\n/.test(before) ? " gap" : ""}`, role: "option", id: `sentence-${at}`, tabindex: at === (chosen ?? 0) ? "0" : "-1",
    "aria-selected": String(at === chosen), "data-at": at, "--shade": one[STATE.shade].toFixed(3), onclick: () => open(at),
    "aria-label": `${at}: ${trace.text[at]}; importance ${short(one.size)}${one.anchor ? ", anchor" : ""}; probe rank ${rankText(one.probeRank)}`,
  },
  el("span", { class: "place", text: String(at) }),
  el("span", { class: "text" }, STATE.layout === "flow" ? trace.text[at] : leading(before) + trace.text[at]),
  bar("importance", one.importance, short(one.size), false), bar("probe", one.probe, rankText(one.probeRank), one.first, flag), bar("rival", one.rival, rankText(one.rivalRank), one.rivalFirst));
  return STATE.layout === "flow" ? [before, made] : made;
}

/** Of what stands before a sentence, the words that are no sentence; a line of its own needs no line break. */
const leading = (before) => (before.trim() ? `${before.trim()} ` : "");

function traceCard(setting, entry, trace, chosen, open, turn) {
  const rows = measured(trace).map((one, at) => sentenceRow(trace, one, at, chosen, open));
  const precision = (name) => (entry.precision[name] === undefined ? "–" : short(entry.precision[name], false, 3));
  const move = (event) => {
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
    const last = trace.text.length - 1, now = chosen ?? -1;
    const to = event.key === "Home" ? 0 : event.key === "End" ? last : steps[event.key] ? Math.min(last, Math.max(0, now + steps[event.key])) : null;
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open(to);
  };
  const arrow = (text, step, label) => el("button", { type: "button", class: "quiet", text, title: `${label} problem (arrow key)`, "aria-label": `${label} problem`, onclick: () => turn(step) });
  return el("article", { class: `card trace ${STATE.layout}` },
    el("div", { class: "title" },
      el("span", { class: "turn" }, arrow("←", -1, "Previous"), arrow("→", 1, "Next")),
      el("h2", { text: `Problem ${entry.id}`, class: "tight" }),
      el("p", { text: `${entry.n} sentences, ${entry.anchors} anchors. Average precision: ${STATE.probe ?? "–"} ${precision(STATE.probe)}, ${STATE.rival ?? "–"} ${precision(STATE.rival)}` })),
    trace.prompt.trim() ? el("details", { class: "prompt" }, el("summary", { text: "What the model was asked" }), el("p", { text: trace.prompt.trim() })) : null,
    el("div", { class: "heads", "aria-hidden": "true" }, ["", "sentence", "importance", STATE.probe ?? "", STATE.rival ?? ""].map((text) => el("span", {}, breaking(text)))),
    el("div", { class: "body", role: "listbox", "aria-label": `Sentences of problem ${entry.id}`, onkeydown: move }, rows),
    trace.tail.trim() ? el("div", { class: "tail", text: trace.tail.trim(), title: "Not labelled" }) : null);
}

function legend() {
  const shade = { importance: "importance (absolute, largest of the trace = 1)", probe: `rank by ${STATE.probe}`, rival: `rank by ${STATE.rival}` }[STATE.shade];
  return el("p", { class: "legend" }, el("span", {}, "Shade: little", el("span", { class: "ramp" }), `much ${shade}`), el("span", {}, el("span", { class: "anchor-mark" }), "anchor"),
    el("span", { text: "# rank in the trace; full colour: among the first as many as there are anchors" }));
}

function tracesTools(setting, refresh) {
  const names = DATA.scores[setting].map((name) => [name, name]);
  const set = (key) => (value) => { STATE[key] = value; refresh(); };
  return el("div", { class: "tools" },
    segments("Setting", SETTINGS, setting, (name) => go("traces", name)),
    names.length ? select("Probe", names, STATE.probe, set("probe")) : null, names.length ? select("Rival", names, STATE.rival, set("rival")) : null,
    select("Shade by", [["importance", "importance"], ["probe", "probe's rank"], ["rival", "rival's rank"]], STATE.shade, set("shade")),
    select("Show as", [["rows", "sentences with scores"], ["flow", "running text"]], STATE.layout, set("layout")));
}

function showTraces(view, [wantedSetting, wantedProblem, wantedSentence]) {
  const setting = SETTINGS.includes(wantedSetting) ? wantedSetting : SETTINGS[0];
  startTraces(setting);
  const refresh = () => {
    const typing = document.activeElement?.id === "search" ? document.activeElement.selectionStart : null;
    showTraces(view, [setting, wantedProblem, wantedSentence]);
    if (typing !== null) { const box = document.getElementById("search"); box.focus(); box.setSelectionRange(typing, typing); }
  };
  const all = DATA.problems[setting];
  if (!all.length) {
    view.replaceChildren(tracesTools(setting, refresh), el("p", { class: "calm", text: "There are no labelled traces of this setting: see Checks." }));
    return;
  }
  const listed = sortedProblems(setting, STATE);
  const entry = all.find((one) => String(one.id) === wantedProblem) ?? listed[0] ?? all[0];
  const trace = traceOf(setting, entry.id);
  const at = /^\d+$/.test(wantedSentence ?? "") && Number(wantedSentence) < trace.text.length ? Number(wantedSentence) : null;
  const open = (sentence) => go("traces", setting, entry.id, sentence);
  const turn = (step) => {
    const place = listed.findIndex((one) => one.id === entry.id), next = listed[place + step];
    if (next) go("traces", setting, next.id);
  };
  const list = problemList(setting, STATE, entry.id, (id) => go("traces", setting, id), refresh);
  const scrolled = view.querySelector(".list")?.scrollTop ?? 0;
  view.turn = turn;
  view.replaceChildren(tracesTools(setting, refresh), legend(),
    el("div", { class: "reader" }, list.card, traceCard(setting, entry, trace, at, open, turn), sentenceCard(setting, entry, trace, at)));
  list.card.scrollTop = scrolled;
  if (at !== null) {
    const row = document.getElementById(`sentence-${at}`);
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }
}
