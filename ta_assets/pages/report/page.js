// Which view is open, by the address behind #; keys; light and dark.

const VIEWS = { overview: () => {}, comparison: showComparison, traces: showTraces, checks: showChecks, origin: showOrigin };

function go(...path) {
  const hash = `#${path.map((one) => part(String(one))).join("/")}`;
  if (location.hash === hash) show();
  else location.hash = hash;
}

function show() {
  const path = location.hash.slice(1).split("/").map((one) => { try { return decodeURIComponent(one); } catch { return one; } });
  const name = VIEWS[path[0]] ? path[0] : "overview";
  const changed = document.getElementById(name).hidden;
  for (const view of document.querySelectorAll(".view")) view.hidden = view.id !== name;
  for (const one of document.querySelectorAll("nav a")) {
    if (one.dataset.view === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  VIEWS[name](document.getElementById(name), path.slice(1));
  if (changed && !path[3]) window.scrollTo(0, 0);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  redrawAll();
}

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.dataset.theme ?? (prefersDark.matches ? "dark" : "light");
const otherTheme = () => setTheme(theme() === "dark" ? "light" : "dark");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const view = Object.keys(VIEWS)[Number(event.key) - 1];
  const traces = document.getElementById("traces");
  if (view) go(view);
  else if (event.key === "t") otherTheme();
  else if (traces.hidden) return;
  else if (event.key === "/") { document.querySelector(".list").open = true; document.getElementById("search").focus(); }
  else if (event.key === "ArrowRight" || event.key === "ArrowLeft") traces.turn(event.key === "ArrowRight" ? 1 : -1);
  else if ((event.key === "ArrowDown" || event.key === "j") && !event.target.closest(".sentence, .list")) document.querySelector('.sentence[tabindex="0"]')?.click();
  else if (event.key === "Escape") go(...location.hash.slice(1).split("/").slice(0, 3).map(decodeURIComponent));
  else return;
  event.preventDefault();
});
document.getElementById("theme").addEventListener("click", otherTheme);
prefersDark.addEventListener("change", redrawAll);
window.addEventListener("hashchange", show);
show();
