// From an artifact to the data, model, options and code that it is of.

function flat(value, prefix = "") {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length)
    return Object.entries(value).flatMap(([key, inner]) => flat(inner, prefix ? `${prefix}.${key}` : key));
  return [[prefix, Array.isArray(value) ? value.map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join(", ") : String(value)]];
}

/** The artifacts that lead to one, each after what it was made from. */
function ancestors(name) {
  const seen = new Set(), found = [];
  const visit = (one) => {
    if (seen.has(one) || !DATA.origin[one]) return;
    seen.add(one);
    DATA.origin[one].parents.forEach(visit);
    found.push(one);
  };
  visit(name);
  return found;
}

const pairs = (title, values) => (values.length ? [el("h4", { text: title }), el("div", { class: "scroll" }, el("table", { class: "pair" }, el("tbody", {}, values.map(([key, text]) => el("tr", {}, el("td", { text: key }), el("td", { class: "mono", text }))))))] : []);

function artifactCard(name) {
  const one = DATA.origin[name];
  const way = ancestors(name);
  const said = (other) => {
    const made = DATA.origin[other].made_from ?? {};
    const told = flat(made).filter(([key]) => /source|model|sha256|commit|revision/.test(key)).map(([key, text]) => `${key} ${text.slice(0, 16)}`);
    return told.slice(0, 3).join(" · ");
  };
  return el("article", { class: "card" }, el("h2", { class: "tight", text: name }),
    one.made ? el("p", { class: "note", text: `Made ${one.made} in run ${one.run}. Verify all of this with: thought-anchors trace '${name}'` }) : el("p", { class: "note", text: "It was never made." }),
    el("h4", { text: "From the data to here" }),
    el("ol", { class: "steps" }, way.map((other) => el("li", {}, other === name ? el("b", { text: other }) : link(`origin/${part(other)}`, other), el("div", { class: "what", text: said(other) })))),
    pairs("Content and code", [["data version", one.data_version], ["code version", one.code_version], ["code sha256", one.code_sha256]].filter(([, text]) => text)),
    pairs("Made from, beside these artifacts", one.made_from ? flat(one.made_from).filter(([key]) => key) : []),
    pairs("Files, sha256", Object.entries(one.files ?? {})),
    one.more_files ? el("p", { class: "note", text: `and ${one.more_files} more files` }) : null);
}

function showOrigin(view, path) {
  const names = Object.keys(DATA.origin);
  const wanted = path.join("/");
  const chosen = DATA.origin[wanted] ? wanted : names.find((name) => name.startsWith("probe_comparison[")) ?? names[0];
  const groups = new Map();
  for (const name of names) groups.set(name.split("[")[0], [...(groups.get(name.split("[")[0]) ?? []), name]);
  const list = el("details", { class: "card list", open: window.innerWidth > 760 }, el("summary", { text: `${names.length} artifacts` }), el("ol", {}, [...groups].flatMap(([asset, own]) => [
    el("li", {}, el("p", { class: "note", text: asset })),
    ...own.map((name) => el("li", {}, el("button", { type: "button", "aria-current": name === chosen ? "true" : null, onclick: () => go("origin", name) }, el("span", { class: "mono", text: name.slice(asset.length + 1, -1) })))),
  ])));
  const scrolled = view.querySelector(".list")?.scrollTop ?? 0;
  view.replaceChildren(el("div", { class: "origin-page" }, list, el("div", {}, artifactCard(chosen), el("details", { class: "card machine" }, el("summary", { text: "The machine and its packages" }), pairs("", flat(DATA.environment))))));
  list.scrollTop = scrolled;
}
