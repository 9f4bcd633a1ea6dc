// The chart library, run when it is first asked for, and the look that all charts share.

const CHARTS = new Set();
const narrow = () => window.innerWidth < 700;

function plotly() {
  if (!window.Plotly) {
    const script = document.createElement("script");
    script.textContent = document.getElementById("library").textContent;
    document.head.append(script);
  }
  return window.Plotly;
}

function colours() {
  const probe = document.body.appendChild(document.createElement("span"));
  const of = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const found = {
    card: of("card"), ink: of("ink"), muted: of("muted"), line: of("line"), accent: of("accent"), rival: of("rival"),
    bad: of("bad"),
    series: theme() === "dark"
      ? ["#56b4e9", "#ff9a57", "#3ecf9f", "#e6a0c8", "#f0c64b", "#9db4ff", "#aab2bb"]
      : ["#0072b2", "#c65300", "#008c66", "#b1528a", "#a87400", "#4f63c6", "#6b7280"],
    symbols: ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"],
  };
  probe.remove();
  return found;
}

function look(colour, extra) {
  const axis = { gridcolor: colour.line, linecolor: colour.line, zeroline: false, automargin: true, title: { font: { size: 12 } } };
  return {
    paper_bgcolor: colour.card, plot_bgcolor: colour.card, font: { color: colour.ink, size: 12, family: "system-ui, sans-serif" },
    margin: { l: 8, r: 14, t: 8, b: 40 }, hoverlabel: { bgcolor: colour.card, bordercolor: colour.muted, font: { color: colour.ink } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } }, bargap: 0.05,
    ...extra, xaxis: { ...axis, ...extra.xaxis }, yaxis: { ...axis, ...extra.yaxis },
  };
}

/** A chart with its title, what it says, and ways to keep it. `draw` gives traces and layout for colours. */
function chart(title, note, height, draw, name) {
  const plot = el("div", { class: "plot", "--height": `${height}px`, role: "img", "aria-label": `${title}. ${note}` });
  plot.style.height = `${height}px`;
  const save = (format) => el("button", {
    type: "button", class: "quiet", text: format.toUpperCase(), "aria-label": `Save ${title} as ${format.toUpperCase()}`,
    onclick: () => plotly().downloadImage(plot, { format, filename: name, width: 960, height: Math.max(height, 360), scale: 2 }),
  });
  const card = el("figure", { class: "card chart" },
    el("div", { class: "head" },
      el("div", {}, el("h3", { text: title }), el("p", { class: "note", text: note })),
      el("p", { class: "save" }, "Save ", save("png"), save("svg"))),
    plot);
  const redraw = () => {
    const { traces, layout } = draw(colours());
    plotly().react(plot, traces, look(colours(), layout), { displayModeBar: false, responsive: true });
  };
  CHARTS.add({ plot, redraw });
  return { card, redraw };
}

function redrawAll() {
  for (const one of [...CHARTS]) {
    if (one.plot.isConnected) one.redraw();
    else CHARTS.delete(one);
  }
}
