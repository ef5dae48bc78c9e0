// Pages work without this file; with it they stay true while they are open.
const page = document.body.dataset.live;
const charts = new Map();

// A colour may be light-dark(…): let the browser resolve it.
function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function draw(figure) {
  const source = figure.querySelector("script");
  if (!source || !window.uPlot) return;
  const { x, series } = JSON.parse(source.textContent);
  const quiet = resolved("--quiet");
  const line = resolved("--line");
  const palette = ["--accent", "--good", "--busy", "--bad", "--fifth", "--sixth"].map(resolved);
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
  const options = {
    width: Math.max(240, figure.clientWidth - 34),
    height: 190,
    legend: { show: series.length > 1, live: false },
    scales: { x: { time: figure.dataset.x === "time" } },
    axes: [axis, { ...axis, size: 56 }],
    series: [{}, ...series.map((each, n) => ({ label: each.label, stroke: palette[n % palette.length], width: 2, spanGaps: true, points: { show: x.length < 40 } }))],
  };
  const plot = new window.uPlot(options, [x, ...series.map((each) => each.values)], figure);
  plot.root.setAttribute("aria-hidden", "true");
}

function decorate(root) {
  for (const figure of root.querySelectorAll("figure.chart")) {
    figure.querySelector(".uplot")?.remove();
    draw(figure);
  }
}

function swap({ id, html }) {
  const place = document.getElementById(id);
  if (!place) return;
  const held = place.contains(document.activeElement) ? document.activeElement : null;
  if (held && /^(INPUT|TEXTAREA|SELECT)$/.test(held.tagName)) return; // never under a person's hands
  const open = [...place.querySelectorAll("details[open] > summary")].map((each) => each.textContent);
  place.innerHTML = html;
  for (const summary of place.querySelectorAll("details > summary")) {
    if (open.includes(summary.textContent)) summary.parentElement.open = true;
  }
  if (held) place.querySelector(held.getAttribute("href") ? `[href="${CSS.escape(held.getAttribute("href"))}"]` : held.tagName)?.focus();
  decorate(place);
}

function append({ lines }) {
  const log = document.querySelector(".log");
  if (!log) return;
  const follows = document.querySelector("[name=follow]")?.checked ?? true;
  const term = document.querySelector("[name=find]")?.value ?? "";
  for (const text of lines) {
    const line = document.createElement("div");
    line.textContent = text;
    line.hidden = term !== "" && !text.toLowerCase().includes(term.toLowerCase());
    log.append(line);
  }
  document.querySelector(".log-empty")?.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}

function listen() {
  const query = new URLSearchParams(location.search);
  query.set("live", "1");
  const log = document.querySelector(".log");
  if (log) query.set("after", log.dataset.after ?? "");
  const events = new EventSource(`${page}?${query}`);
  events.addEventListener("swap", (event) => swap(JSON.parse(event.data)));
  events.addEventListener("lines", (event) => {
    const got = JSON.parse(event.data);
    if (log) log.dataset.after = got.after;
    append(got);
  });
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

document.addEventListener("input", (event) => {
  if (event.target.name !== "find") return;
  const term = event.target.value.toLowerCase();
  for (const line of document.querySelectorAll(".log > div")) {
    line.hidden = term !== "" && !line.textContent.toLowerCase().includes(term);
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  const form = event.target.form; // what only asks is asked at once; what changes something waits for its button
  if (form?.classList.contains("filters") && form.method === "get") form.requestSubmit();
});

// The menu is a drawer on small screens and a column on large ones.
const menu = document.querySelector(".menu");
const wide = matchMedia("(min-width: 801px)");
const settle = () => menu && (menu.open = wide.matches);
wide.addEventListener("change", settle);
settle();

let redraw;
addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(() => decorate(document), 150);
});

addEventListener("load", () => {
  decorate(document);
  const log = document.querySelector(".log");
  if (log) log.scrollTop = log.scrollHeight;
  if (page && document.querySelector("[id^=live_], .log")) listen();
});
