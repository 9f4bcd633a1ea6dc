// The list of problems beside a trace: sorted, searched.

const ORDERS = [["disagree", "probe and label disagree most"], ["agree", "agree most"], ["lead", "probe leads the rival most"], ["behind", "probe is behind the rival"], ["number", "number"], ["length", "longest"]];

function sortedProblems(setting, state) {
  const of = (one, name) => one.precision[name] ?? null;
  const last = (value, sign) => (value === null ? Infinity : sign * value);
  const lead = (one) => (of(one, state.probe) === null || of(one, state.rival) === null ? null : of(one, state.probe) - of(one, state.rival));
  const keys = {
    disagree: (one) => last(of(one, state.probe), 1), agree: (one) => last(of(one, state.probe), -1),
    lead: (one) => last(lead(one), -1), behind: (one) => last(lead(one), 1), number: (one) => one.id, length: (one) => -one.n,
  };
  const key = keys[state.order];
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = DATA.problems[setting].filter((one) => words.every((word) => haystack(setting, one).includes(word)));
  return found.sort((a, b) => key(a) - key(b) || a.id - b.id);
}

const HAYSTACKS = new Map();

function haystack(setting, one) {
  const name = `${setting}/${one.id}`;
  if (!HAYSTACKS.has(name)) {
    const trace = traceOf(setting, one.id);
    HAYSTACKS.set(name, [one.id, one.about, ...(trace ? trace.text : [])].join("\n").toLowerCase());
  }
  return HAYSTACKS.get(name);
}

function problemList(setting, state, chosen, open, refresh) {
  const problems = sortedProblems(setting, state);
  const items = problems.map((one) => {
    const precision = one.precision[state.probe] ?? null;
    return el("li", {}, el("button", { type: "button", "aria-current": one.id === chosen ? "true" : null, onclick: () => open(one.id) },
      el("span", { class: "top" }, el("span", { text: `Problem ${one.id}` }), el("span", { text: precision === null ? `${one.n} sentences` : `AP ${short(precision)}` })),
      el("span", { class: "about", text: one.about, title: one.about }),
      precision === null ? null : el("span", { class: "gauge" }, el("i", { "--v": precision }))));
  });
  for (const item of items) {
    const bar = item.querySelector("i");
    if (bar) bar.style.width = `calc(var(--v) * 100%)`;
  }
  const search = el("input", { type: "search", id: "search", placeholder: "words of any sentence", value: state.search, oninput: (event) => { state.search = event.target.value; refresh(); } });
  const list = el("ol", { "aria-label": "Problems" }, items);
  return {
    problems, list,
    card: el("details", { class: "card list", open: window.innerWidth > 760 },
      el("summary", { text: `${problems.length} of ${DATA.problems[setting].length} problems` }),
      el("label", { class: "field" }, "Search (key /)", search),
      el("div", { class: "field" }, select("Sort by", ORDERS, state.order, (value) => { state.order = value; refresh(); })),
      list),
  };
}
