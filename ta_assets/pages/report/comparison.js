// The comparison of a setting: every score against its strongest rival.

function forest(setting, rows) {
  const shown = [...rows].reverse();
  const draw = (colour) => {
    const group = (name, keep, color, symbol) => {
      const own = shown.filter(keep);
      const off = (row, end) => (row[end] === null ? 0 : Math.abs(row[end] - row.difference));
      return {
        type: "scatter", mode: "markers", name, x: own.map((row) => row.difference), y: own.map((row) => label(row)),
        error_x: { type: "data", symmetric: false, array: own.map((row) => off(row, "high")), arrayminus: own.map((row) => off(row, "low")), color, thickness: 2, width: 0 },
        marker: { color, symbol, size: 10, line: { width: 2, color: symbol.endsWith("open") ? color : colour.card } },
        text: own.map((row) => `${row.name} over ${row.against}<br>${short(row.difference, true, 3)}${interval(row.low, row.high, 3)}<br>adjusted p ${pValue(row.p)}<br>${row.verdict}`),
        hovertemplate: "%{text}<extra></extra>",
      };
    };
    return {
      traces: [
        group("with all that is known", (row) => row.kind === "increment", colour.bad, "square"),
        group("probe", (row) => row.kind === "probe", colour.accent, "circle"),
        group("baseline", (row) => !isProbe(row), colour.rival, "diamond-open"),
      ].filter((one) => one.x.length),
      layout: {
        xaxis: { title: { text: "lead in average precision" } },
        yaxis: { categoryorder: "array", categoryarray: shown.map(label), showgrid: false },
        shapes: [{ type: "line", x0: 0, x1: 0, yref: "paper", y0: 0, y1: 1, line: { color: colour.muted, width: 1, dash: "dash" } }],
      },
    };
  };
  const label = (row) => (narrow() ? row.name : `${row.name} − ${row.against}`);
  return chart(`Leads over the strongest rival, ${setting}`, "With 95 % intervals over problems. A probe must beat every baseline; the one over which it leads least is its rival.",
    110 + 26 * rows.length, draw, `leads_${setting}`);
}

function ceiling(setting, value) {
  const rows = [...value.rows].reverse().filter((row) => row.share_of_ceiling !== null);
  if (!rows.length) return null;
  const draw = (colour) => ({
    traces: [{
      type: "scatter", mode: "markers", x: rows.map((row) => row.share_of_ceiling), y: rows.map((row) => row.name),
      error_x: { type: "data", symmetric: false, thickness: 2, width: 0, color: colour.rival,
        array: rows.map((row) => (row.share_high === null ? 0 : row.share_high - row.share_of_ceiling)),
        arrayminus: rows.map((row) => (row.share_low === null ? 0 : row.share_of_ceiling - row.share_low)) },
      marker: { size: 10, color: rows.map((row) => (isProbe(row) ? colour.accent : colour.rival)), symbol: rows.map((row) => (isProbe(row) ? "circle" : "diamond")) },
      text: rows.map((row) => `${row.name}: ${percent(row.share_of_ceiling)} of the ceiling${row.share_low === null ? "" : ` [${percent(row.share_low)}, ${percent(row.share_high)}]`}<br>average precision ${short(row.average_precision, false, 3)}`),
      hovertemplate: "%{text}<extra></extra>",
    }],
    layout: {
      showlegend: false, yaxis: { showgrid: false },
      xaxis: { tickformat: ".0%", title: { text: "0 % chance, 100 % what label noise leaves attainable" } },
      shapes: [0, 1].map((at) => ({ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: colour.muted, width: 1, dash: at ? "solid" : "dash" } })),
    },
  });
  return chart("Share of the ceiling", `Chance is ${short(value.chance, false, 3)}, the true importances would score ${short(value.ceiling.oracle, false, 3)}, a second campaign ${short(value.ceiling.repeat, false, 3)}.`,
    100 + 24 * rows.length, draw, `ceiling_${setting}`);
}

function nulls(setting, found) {
  if (!found.length) return null;
  const draw = (colour) => ({
    traces: found.map((one, at) => ({
      type: "histogram", x: one.permuted, nbinsx: 40, name: `${one.scheme}: ${one.name}`, opacity: 0.75,
      marker: { color: colour.series[at ? 4 : 6], pattern: { shape: at ? "/" : "" } }, hovertemplate: `${one.scheme}: %{x}<br>%{y} permutations<extra></extra>`,
    })),
    layout: {
      barmode: "overlay", xaxis: { title: { text: "macro average precision, refitted to permuted labels" } }, yaxis: { title: { text: "permutations" } },
      shapes: found.map((one) => ({ type: "line", x0: one.observed, x1: one.observed, yref: "paper", y0: 0, y1: 1, line: { color: colour.accent, width: 2 } })),
      annotations: found.slice(0, 1).map((one) => ({ x: one.observed, y: 0.98, yref: "paper", xanchor: "right", xshift: -6, showarrow: false, text: `labels as they are: ${short(one.observed, false, 3)}`, font: { color: colour.accent } })),
    },
  });
  const said = found.map((one) => {
    const above = one.permuted.filter((value) => value >= one.observed).length;
    return `${one.scheme}: ${above} of ${one.permuted.length} permutations reach ${short(one.observed, false, 3)}`;
  });
  return chart("What shuffled labels give", `${said.join("; ")}.`, 300, draw, `null_${setting}`);
}

function powers(setting, value, numbers) {
  const rows = value.rows.filter((row) => isProbe(row) && numbers.power[row.name]);
  if (!rows.length) return null;
  const draw = (colour) => ({
    traces: rows.map((row, at) => ({
      type: "scatter", mode: "lines+markers", x: numbers.power_problems, y: numbers.power[row.name], name: `${row.name} (${short(row.difference, true)})`,
      line: { color: colour.series[at % 7], width: 2 }, marker: { symbol: colour.symbols[at % 7], size: 7 },
      hovertemplate: `${row.name}: %{x} problems, power %{y:.2f}<extra></extra>`,
    })),
    layout: {
      xaxis: { type: "log", title: { text: "problems" }, tickvals: numbers.power_problems.filter((_, at) => at % 2 === 0) }, yaxis: { title: { text: "power" }, range: [0, 1.03] },
      shapes: [
        { type: "line", xref: "paper", x0: 0, x1: 1, y0: 0.8, y1: 0.8, line: { color: colour.muted, width: 1, dash: "dash" } },
        { type: "line", x0: value.n_problems, x1: value.n_problems, yref: "paper", y0: 0, y1: 1, line: { color: colour.muted, width: 1, dash: "dot" } },
      ],
      annotations: [{ x: Math.log10(value.n_problems), y: 0.02, yref: "paper", xanchor: "left", xshift: 4, showarrow: false, text: `now ${value.n_problems}`, font: { color: colour.muted, size: 11 } }],
    },
  });
  const needed = rows.map((row) => `${row.name} ${row.needed ?? "too many"}`).join(", ");
  return chart("What number of problems would decide", `Problems for a power of 80 % at the lead that was seen: ${needed}.`, 330, draw, `power_${setting}`);
}

function layers(setting, numbers) {
  const found = numbers.blocks;
  if (!found) return null;
  const draw = (colour) => ({
    traces: [
      { type: "scatter", mode: "lines", x: found.blocks, y: found.center, line: { width: 0 }, hoverinfo: "skip", showlegend: false },
      { type: "scatter", mode: "lines", x: found.blocks, y: found.upper, line: { width: 0 }, fill: "tonexty", fillcolor: colour.line, name: "shuffled labels, 95 % over all blocks", hovertemplate: "block %{x}: chance up to %{y:.3f}<extra></extra>" },
      { type: "scatter", mode: "lines+markers", x: found.blocks, y: found.observed, name: "ridge at its best penalty", line: { color: colour.accent, width: 2 }, marker: { size: 8 }, hovertemplate: "block %{x}: %{y:.3f}<extra></extra>" },
    ],
    layout: { xaxis: { title: { text: "block" }, dtick: found.blocks.length > 16 ? 4 : 1 }, yaxis: { title: { text: "macro average precision" } } },
  });
  return chart("Layers", "What each block of the language model tells, beside what shuffled labels give.", 300, draw, `layers_${setting}`);
}

const judged = (row) => `${row.verdict}${!row.reason || row.reason.startsWith("than") ? " " : ": "}${row.reason ?? ""}`.trim();

function numbersTable(setting, rows) {
  const made = rows.map((row) => ({
    class: isProbe(row) ? "probe" : null,
    cells: [row.name, row.kind, `${short(row.average_precision, false, 3)}${interval(row.ap_low, row.ap_high)}`, row.against, `${short(row.difference, true, 3)}${interval(row.low, row.high)}`,
      pValue(row.p), percent(row.share_of_ceiling), row.needed === null ? "too many" : String(row.needed), judged(row)],
  }));
  return el("div", { class: "card wide" }, el("h3", { text: "All numbers" }),
    el("p", { class: "note" }, "From ", link(`origin/probe_comparison[${part(setting)}]`, `probe_comparison[${setting}]`), "; p is adjusted for everything that was looked at."),
    table(["score", "kind", "average precision", "against", "lead", "p", "of ceiling", "needs", "verdict"], made, new Set([2, 4, 5, 6, 7])));
}

function showComparison(view, [wanted]) {
  const setting = SETTINGS.includes(wanted) ? wanted : SETTINGS[0];
  const found = DATA.comparison[setting];
  const head = el("div", { class: "tools" }, segments("Setting", SETTINGS, setting, (name) => go("comparison", name)));
  if (!found) {
    view.replaceChildren(head, el("p", { class: "calm", text: "There is no comparison of this setting: see Checks." }));
    return;
  }
  const value = found.artifact;
  const made = [forest(setting, value.rows), ceiling(setting, value), powers(setting, value, found.numbers), nulls(setting, found.numbers.nulls), layers(setting, found.numbers)].filter(Boolean);
  made[0].card.classList.add("wide");
  if (made.length % 2 === 0) made[made.length - 1].card.classList.add("wide");
  const alone = found.numbers.blocks ? null : el("p", { class: "note wide", text: "One block of the language model was read: there is no curve over layers." });
  view.replaceChildren(head, el("div", { class: "charts" }, made.map((one) => one.card), alone, numbersTable(setting, value.rows)));
  // one at a time, so that the view is there before its charts
  const next = () => { const one = made.shift(); if (one && one.card.isConnected) { one.redraw(); setTimeout(next); } };
  setTimeout(next);
}
