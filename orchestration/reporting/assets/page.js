"use strict";

const root = document.documentElement;
const drawn = new Set();
const charts = [...document.querySelectorAll(".chart")];
const themeKey = "driftline-theme";

/* The library and the figures are compressed: a fraction of the size, and no value in
   them can mean anything to HTML. Nothing runs them before the page is on the screen. */
async function unpacked(id) {
  const encoded = atob(document.getElementById(id).textContent.trim());
  const bytes = new Uint8Array(encoded.length);
  for (let i = 0; i < encoded.length; i++) bytes[i] = encoded.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

let loading;
function loaded() {
  loading ??= (async () => {
    const figures = unpacked("figures");
    const script = document.createElement("script");
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    return { Plotly: window.Plotly, figures: JSON.parse(await figures) };
  })();
  return loading;
}

/* Colours are names of CSS variables. They only stand under these keys: a name or value
   of somebody's data that looks like one stays what it is. */
const colourKeys = new Set(["color", "fillcolor", "bgcolor", "bordercolor", "colorscale"]);
function coloured(value, style, isColour = false) {
  if (typeof value === "string") {
    return isColour && value.startsWith("var:")
      ? style.getPropertyValue("--" + value.slice(4)).trim()
      : value;
  }
  if (Array.isArray(value)) return isColour ? value.map((each) => coloured(each, style, true)) : value.map((each) => (each && typeof each === "object" && !Array.isArray(each) ? coloured(each, style) : each));
  if (value && typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, coloured(each, style, colourKeys.has(key))]),
    );
  }
  return value;
}

function layoutOf(figure, style, width) {
  const layout = coloured(figure.layout, style);
  const ink = style.getPropertyValue("--ink").trim();
  const muted = style.getPropertyValue("--muted").trim();
  const grid = style.getPropertyValue("--grid").trim();
  const surface = style.getPropertyValue("--surface").trim();
  const isNarrow = width < 560;
  const axis = {
    gridcolor: grid,
    linecolor: grid,
    zeroline: false,
    tickfont: { color: muted, size: 11.5 },
    title: { font: { color: muted, size: 12 }, standoff: 8 },
    automargin: true,
    fixedrange: matchMedia("(pointer: coarse)").matches,
  };
  const { xaxis, yaxis, legend, ...rest } = layout;
  const x = { ...axis, showgrid: false, ...xaxis };
  if (x.type === "date") {
    Object.assign(x, {
      showline: true,
      ticks: "outside",
      ticklen: 4,
      tickcolor: grid,
      nticks: isNarrow ? 5 : 10,
      tickformatstops: [
        { dtickrange: [null, 86399999], value: "%H:%M\n%-d %b" },
        { dtickrange: [86400000, 2678399999], value: "%-d %b" },
        { dtickrange: ["M1", null], value: "%b %Y" },
      ],
    });
  }
  const y = { ...axis, ...yaxis, title: { ...axis.title, ...yaxis?.title } };
  return {
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: ink, size: 12 },
    margin: { l: isNarrow ? 42 : 58, r: 12, t: 12, b: 30 },
    legend: {
      orientation: "h",
      x: 0,
      y: 1.03,
      yanchor: "bottom",
      font: { color: muted, size: 12 },
      bgcolor: "rgba(0,0,0,0)",
      itemwidth: 30,
      ...legend,
    },
    hoverlabel: {
      bgcolor: surface,
      bordercolor: muted,
      font: { family: getComputedStyle(document.body).fontFamily, color: ink, size: 12 },
      align: "left",
      namelength: -1,
    },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...rest,
    xaxis: x,
    yaxis: y,
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  };
}

function chosen(chart) {
  const pressed = [...chart.querySelectorAll(".choice button")].findIndex(
    (button) => button.getAttribute("aria-pressed") === "true",
  );
  return Math.max(pressed, 0);
}

function draw({ Plotly, figures }, chart, width) {
  const plot = chart.querySelector(".plot");
  const figure = figures[charts.indexOf(chart)][chosen(chart)];
  drawn.add(chart);
  const style = getComputedStyle(root);
  const layout = layoutOf(figure, style, width ?? plot.clientWidth);
  if (width) layout.width = width;
  plot.classList.remove("waiting");
  if (!plot.classList.contains("js-plotly-plot")) plot.replaceChildren();
  return Plotly.react(plot, coloured(figure.data, style), layout, {
    displayModeBar: false,
    responsive: true,
    doubleClick: "reset",
    showTips: false,
  });
}

async function show(chart) {
  try {
    draw(await loaded(), chart);
  } catch (error) {
    const plot = chart.querySelector(".plot");
    plot.classList.add("waiting");
    plot.textContent = "This browser can't draw the chart: it takes one of 2023 or later.";
    console.error(error);
  }
}

function redraw() {
  for (const chart of drawn) show(chart);
}

/* Charts are drawn when they are about to be seen. */
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      show(entry.target);
    }
  },
  { rootMargin: "500px 0px" },
);
for (const chart of charts) {
  const plot = chart.querySelector(".plot");
  plot.classList.add("waiting");
  plot.textContent = "…";
  watcher.observe(chart);
  const buttons = [...chart.querySelectorAll(".choice button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      show(chart);
    });
  }
}
(window.requestIdleCallback ?? setTimeout)(() => loaded().then((each) => (ready = each), () => {}));

/* Themes: the system's, until somebody chooses. */
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
function themed() {
  let kept = "";
  try { kept = localStorage.getItem(themeKey) ?? ""; } catch { /* A file may have no storage. */ }
  return kept || (prefersDark.matches ? "dark" : "light");
}
function setTheme(theme) {
  root.dataset.theme = theme;
  redraw();
}
setTheme(themed());
prefersDark.addEventListener("change", () => setTheme(themed()));
document.getElementById("theme").addEventListener("click", () => {
  const theme = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem(themeKey, theme); } catch { /* The choice lasts as long as the page. */ }
  setTheme(theme);
});

/* Paper is light, narrow, and does not scroll: every chart is drawn for it. */
const paperWidth = 640;
let before;
let ready;
window.addEventListener("beforeprint", () => {
  before = root.dataset.theme;
  root.dataset.theme = "light";
  if (!ready) return;
  for (const chart of charts) {
    draw(ready, chart, chart.closest(".histograms") ? paperWidth / 2 - 24 : paperWidth);
  }
});
window.addEventListener("afterprint", () => {
  root.dataset.theme = before;
  redraw();
});

/* Tables sort by a click on a heading; unknown values stay last either way. */
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.querySelectorAll("th")];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const isNumber = heading.classList.contains("number");
      const now = heading.getAttribute("aria-sort");
      const order = now ? (now === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      const direction = order === "ascending" ? 1 : -1;
      const body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [row.cells[column].dataset.sort, row]);
      keyed.sort(([one], [other]) => {
        if (one === "" || other === "") return (one === "") - (other === "");
        const first = Number(one);
        const second = Number(other);
        const both = !Number.isNaN(first) && !Number.isNaN(second);
        return direction * (both ? first - second : one.localeCompare(other));
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
}
