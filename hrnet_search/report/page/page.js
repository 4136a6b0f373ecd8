"use strict";
// Draws the figures that lie in the page as JSON. Text of users reaches the page through
// textContent, or through `plain` where plotly would read it as HTML.
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plain = (text) =>
    String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  // Plotly is in the page, packed to a third of its size; the page's policy knows it by its hash.
  async function loadPlotly() {
    const packed = Uint8Array.from(atob(byId("plotly").textContent), (c) => c.charCodeAt(0));
    const whole = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(whole).text();
    document.head.append(script);
    script.remove();
  }
  let printing = false;
  const PAPER = 670; // px across, which A4 and Letter both have between their margins
  const CHARACTER = 7.5; // px, of a title
  const widthOf = (element) => (printing ? PAPER : element.clientWidth);

  // A page that a server keeps current loads itself again when a trial has ended; the axis stays.
  function keepCurrent() {
    const axis = byId("axis");
    const kept = sessionStorage.getItem("axis");
    if (axis && kept < axis.options.length) axis.value = kept ?? "0";
    axis?.addEventListener("change", () => sessionStorage.setItem("axis", axis.value));
    setInterval(async () => {
      const answer = await fetch("version").catch(() => null);
      byId("live").textContent = answer?.ok ? "Kept current while the study runs." : "No longer current: hrnet-search watch has ended, or the study cannot be read.";
      if (answer?.ok && (await answer.text()) !== data.live) location.reload();
    }, 2000);
  }
  if (data.live) keepCurrent();

  const CONFIG = { displaylogo: false, displayModeBar: false };

  // Plotly breaks no line of a title.
  function lined(text, most) {
    const lines = [];
    for (const word of String(text).split(" ")) {
      const last = lines.length - 1;
      if (last >= 0 && lines[last].length + word.length < most) lines[last] += ` ${word}`;
      else lines.push(word);
    }
    return lines.join("<br>");
  }

  // Charts side by side are as many as there is room for.
  function arranged(layout, width) {
    if (!layout.grid) return layout;
    const count = Object.keys(layout).filter((name) => /^xaxis/.test(name)).length;
    const columns = Math.max(1, Math.min(layout.grid.columns, Math.floor(width / 210)));
    const rows = Math.ceil(count / columns);
    const height = 90 + ((layout.height - 90) / layout.grid.rows) * rows;
    return { ...layout, height, grid: { ...layout.grid, rows, columns } };
  }

  // Names beside the other axis take half of the width, and more.
  function fittedTitle(axis, width, columns, named) {
    if (!axis.title) return axis;
    const [from, to] = axis.domain || [0, 1 / columns];
    const room = named ? 0.4 * width : width - 90;
    const most = Math.max(12, Math.floor((room * (to - from)) / CHARACTER));
    return { ...axis, title: { ...axis.title, text: lined(axis.title.text, most) } };
  }

  function themed(given, width) {
    const layout = arranged(given, width);
    const grid = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
    const whole = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
      hoverlabel: { align: "left", bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      xaxis: {},
      yaxis: {},
      ...layout,
      margin: { l: 60, r: 20, t: 20, b: 50, ...layout.margin },
    };
    for (const name of Object.keys(whole)) {
      if (/^[xy]axis\d*$/.test(name)) whole[name] = { ...grid, ...whole[name] };
      if (/^xaxis\d*$/.test(name)) whole[name] = fittedTitle(whole[name], width, layout.grid ? layout.grid.columns : 1, whole.yaxis.type === "category");
    }
    // Lines pass behind what is written on the chart, not through it.
    if (whole.annotations) whole.annotations = whole.annotations.map((one) => ({ bgcolor: colour("--card"), borderpad: 1, ...one }));
    whole.width = width; // plotly keeps the last width where it is given none
    return whole;
  }

  // A part that is wider than its card says so.
  const room = new ResizeObserver((entries) => {
    for (const { target } of entries) target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  });
  for (const element of document.querySelectorAll(".scroll")) room.observe(element);

  if (!("DecompressionStream" in globalThis)) {
    for (const element of document.querySelectorAll("#front, [data-figure]"))
      element.textContent = "Figures need a browser of 2023 or later.";
    return;
  }
  await loadPlotly();

  // Figures below the fold are drawn when they come near it: the answer stands first.
  const drawn = new Set();
  function drawFigure(element) {
    drawn.add(element);
    const figure = data.figures[element.dataset.figure];
    Plotly.react(element, figure.data, themed(figure.layout, widthOf(element)), CONFIG);
  }
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        watcher.unobserve(entry.target);
        drawFigure(entry.target);
      }
    },
    { rootMargin: "300px" },
  );
  const figures = [...document.querySelectorAll("[data-figure]")];
  figures.forEach((element) => watcher.observe(element));

  const points = data.points;
  const chart = points && byId("front");
  function redraw() {
    if (chart) drawFront();
    drawn.forEach(drawFigure);
  }
  // Paper has no fold: all that was not seen yet is drawn, as wide as the paper, in light colours.
  function forPaper(yes) {
    printing = yes;
    document.documentElement.classList.toggle("printing", yes);
    if (yes) figures.forEach((element) => drawn.add(element));
    redraw();
  }
  addEventListener("beforeprint", () => forPaper(true));
  addEventListener("afterprint", () => forPaper(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let settling = 0, wide = innerWidth;
  addEventListener("resize", () => {
    if (printing || innerWidth === wide) return;
    wide = innerWidth;
    clearTimeout(settling);
    settling = setTimeout(redraw, 150);
  });
  if (!chart) return;

  const PLACES = [
    { name: "beaten", look: () => ({ color: colour("--trial"), size: 7, opacity: 0.45 }) },
    { name: "not significantly different from the front", look: () => ({ color: colour("--doubt"), size: 10, symbol: "circle-open", line: { width: 2 } }) },
    { name: "front", look: () => ({ color: colour("--front"), size: 11, line: { color: colour("--card"), width: 1.5 } }) },
  ];
  const percent = (value) => `${(100 * value).toFixed(2)}%`;
  // By draws: what they all say is not certain.
  const chance = (value) => (value > 0.99 ? "over 99%" : value < 0.01 ? "under 1%" : `${(100 * value).toFixed(0)}%`);
  const short = (value) => String(Number(Number(value).toPrecision(4)));
  const between = (low, high, show) => (low == null || high == null ? "" : ` (${show(low)} to ${show(high)})`);

  function lines(i) {
    const seeds = points.seeds[i] === 1 ? "1 seed" : `mean of ${points.seeds[i]} seeds`;
    const found = [
      [data.accuracy, `${percent(points.accuracy[i])}${between(points.accuracy_low[i], points.accuracy_high[i], percent)}, ${seeds}`],
    ];
    for (const [name, values] of points.others) if (values[i] != null) found.push([name, percent(values[i])]);
    for (const axis of points.axes) {
      if (axis.values[i] == null) continue;
      const wide = axis.low.length && axis.low[i] !== axis.high[i];
      found.push([axis.name, short(axis.values[i]) + (wide ? between(axis.low[i], axis.high[i], short) : ""), axis.condition]);
    }
    if (!points.within[i]) found.push(["limits of accuracy", "not kept, so it is on no front"]);
    if (points.chance[i] != null) found.push([`chance of being on the front${data.oneSeed ? " (one seed)" : ""}`, chance(points.chance[i])]);
    return found;
  }

  function hover(i) {
    const title = `<b>#${points.number[i]}</b> ${plain(points.architecture[i])}`;
    const differs = plain(points.differs[i].slice(0, 160)).replaceAll(", ", "<br>");
    const rows = lines(i).map(([name, value]) => `${plain(name)}: ${plain(value)}`);
    return [title, differs, ...rows].join("<br>");
  }

  // Distances for plotly's error bars; null leaves one out.
  function spread(values, low, high, rows) {
    const side = (end, sign) => rows.map((i) => (end[i] == null ? null : Math.max(0, sign * (end[i] - values[i]))));
    return { type: "data", symmetric: false, array: side(high, 1), arrayminus: side(low, -1), thickness: 1, width: 0 };
  }

  function placed(place, axis) {
    const rows = points.place.flatMap((p, i) => (p === place && axis.values[i] != null ? [i] : []));
    const look = PLACES[place].look();
    const trace = {
      name: PLACES[place].name,
      x: rows.map((i) => axis.values[i]),
      y: rows.map((i) => points.accuracy[i]),
      customdata: rows,
      text: rows.map(hover),
      hovertemplate: "%{text}<extra></extra>",
      mode: "markers",
      type: "scatter",
      marker: look,
    };
    if (place > 0) {
      trace.error_y = { ...spread(points.accuracy, points.accuracy_low, points.accuracy_high, rows), color: look.color };
      if (axis.low.length) trace.error_x = { ...spread(axis.values, axis.low, axis.high, rows), color: look.color };
    }
    return trace;
  }

  // The most that was measured within a budget on the axis shown, level until the next step.
  function staircase(axis) {
    const rows = axis.values.flatMap((value, i) => (value == null || !points.within[i] ? [] : [i]));
    rows.sort((a, b) => axis.values[a] - axis.values[b] || points.accuracy[b] - points.accuracy[a]);
    const x = [], y = [];
    for (const i of rows) {
      if (y.length && points.accuracy[i] <= y[y.length - 1]) continue;
      x.push(axis.values[i]);
      y.push(points.accuracy[i]);
    }
    if (rows.length) {
      x.push(axis.values[rows[rows.length - 1]]);
      y.push(y[y.length - 1]);
    }
    return { name: "most measured within a budget", x, y, mode: "lines", line: { shape: "hv", color: colour("--front"), width: 1.5, dash: "dot" }, hoverinfo: "skip" };
  }

  // 1, 2 and 5 of every decade, in full: plotly writes the digits between decades alone.
  function ticks(values) {
    const known = values.filter((value) => value > 0);
    const found = [];
    for (let power = Math.floor(Math.log10(Math.min(...known))); 10 ** power <= Math.max(...known); power++) {
      for (const digit of [1, 2, 5]) found.push(Number((digit * 10 ** power).toPrecision(1)));
    }
    const inside = found.filter((tick) => tick >= Math.min(...known) && tick <= Math.max(...known));
    // Between two of them there is none: plotly's own are then better than nothing.
    return inside.length > 1 ? { tickvals: found, ticktext: found.map(String) } : { tickformat: "~g", nticks: 6 };
  }

  function drawFront() {
    const axis = points.axes[Number(byId("axis").value)];
    const layout = {
      height: 480,
      hovermode: "closest",
      xaxis: { title: { text: plain(axis.name + (axis.condition ? `: ${axis.condition}` : "")) }, type: axis.log ? "log" : "linear", ...(axis.log ? ticks(axis.values) : {}) },
      yaxis: { title: { text: plain(data.accuracy) }, tickformat: ".2~%" },
    };
    const traces = [placed(0, axis), staircase(axis), placed(1, axis), placed(2, axis)];
    Plotly.react(chart, traces.filter((trace) => trace.x.length), themed(layout, widthOf(chart)), CONFIG);
  }

  function chooseAxis() {
    drawFront();
    const axis = points.axes[Number(byId("axis").value)];
    byId("shown").textContent = `${data.accuracy} against ${axis.name}: ${axis.values.filter((v) => v != null).length} networks`;
  }

  function show(i) {
    byId("picked").hidden = false;
    byId("picked-name").textContent = `#${points.number[i]} ${points.architecture[i]}`;
    byId("picked-differs").textContent = points.differs[i];
    byId("picked-facts").replaceChildren(
      ...lines(i).flatMap(([name, value, condition]) => {
        const term = document.createElement("dt"), text = document.createElement("dd");
        term.textContent = name;
        text.textContent = value;
        text.title = condition || "";
        return [term, text];
      }),
    );
    const yaml = points.yamls[i].map((k) => points.blocks[k]).join("");
    byId("picked-yaml").textContent = yaml || "not in this page: only networks near the front have their config here";
  }

  // The pick within a budget, as report/pick.py answers: the same networks, draws and words.
  const picker = data.picker;
  const ranks = new Uint16Array(Uint8Array.from(atob(picker.ranks), (c) => c.charCodeAt(0)).buffer);
  const costOf = Object.fromEntries(picker.costs.map((cost) => [cost.name, cost]));
  const within = (budget) =>
    picker.numbers.flatMap((_, i) =>
      Object.entries(budget).every(([name, most]) => (costOf[name].values[i] ?? Infinity) <= most) ? [i] : []);
  const rank = (draw, i) => ranks[draw * picker.numbers.length + i];
  const rounded = (chance) => `${Math.floor(100 * chance + 0.5)}%`;

  function howSure(inside, pick) {
    if (!picker.draws) return "how sure is not known: no seed was repeated and no images were kept";
    const wins = new Map(inside.map((i) => [i, 0]));
    for (let draw = 0; draw < picker.draws; draw++) {
      const most = Math.max(...inside.map((i) => rank(draw, i)));
      const best = inside.filter((i) => rank(draw, i) === most);
      for (const i of best) wins.set(i, wins.get(i) + 1 / best.length);
    }
    const chance = (i) => rounded(wins.get(i) / picker.draws);
    const said = `the best within the budget with a chance of ${chance(pick)}`;
    const others = inside.filter((i) => i !== pick);
    const rival = others.length ? others.reduce((a, b) => (wins.get(b) > wins.get(a) ? b : a)) : pick;
    if (rival === pick || chance(rival) === "0%") return `${said}${picker.by}`;
    const other = `#${picker.numbers[rival]}`;
    const next = wins.get(rival) <= wins.get(pick) ? `next ${other}` : `${other}, on average worse and less sure,`;
    return `${said}; ${next} with ${chance(rival)}${picker.by}`;
  }

  function buys(budget, pick, cost) {
    const rest = Object.fromEntries(Object.entries(budget).filter(([name]) => name !== cost.name));
    const better = within(rest).filter((i) => picker.scores[i] > picker.scores[pick] && cost.values[i] != null);
    if (!better.length) return `no network of the study is better for more ${cost.label} alone`;
    const step = better.reduce((a, b) => (cost.values[b] < cost.values[a] ? b : a));
    const more = ((cost.values[step] - cost.values[pick]) / cost.scale).toFixed(3);
    const higher = picker.accuracies[step] - picker.accuracies[pick];
    const gain = higher > 0 ? `${(100 * higher).toFixed(2)} points`
      : `what is expected to be better, measured ${(100 * Math.abs(higher)).toFixed(2)} points lower`;
    let ahead = 0;
    for (let draw = 0; draw < picker.draws; draw++) ahead += (1 + Math.sign(rank(draw, step) - rank(draw, pick))) / 2;
    const sure = picker.draws ? `, better with a chance of ${rounded(ahead / picker.draws)}` : "";
    return `${more} ${cost.unit} more ${cost.label} buys ${gain}: ${picker.said[step]}${sure}`;
  }

  function answer(budget) {
    const inside = within(budget);
    if (!inside.length) return { said: ["no network of the study is within this budget"] };
    const asked = picker.costs.filter((cost) => cost.name in budget);
    const pick = inside[0];
    return {
      pick,
      said: [picker.said[pick], howSure(inside, pick), ...asked.map((cost) => buys(budget, pick, cost)),
        `differs from the base: ${picker.differs[pick]}`],
    };
  }

  function showPick() {
    const given = [...document.querySelectorAll("#pick [data-cost]")].filter((input) => input.value !== "");
    const budget = Object.fromEntries(
      given.map((input) => [input.dataset.cost, Number(input.value) * costOf[input.dataset.cost].scale]));
    const { pick, said } = answer(budget);
    byId("pick-said").replaceChildren(
      ...said.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    byId("pick-commands").hidden = pick === undefined;
    if (pick === undefined) return;
    const number = picker.numbers[pick];
    byId("pick-commands").textContent = `${picker.train.join(number)}\n${picker.export.join(number)}`;
    show(points.number.indexOf(picker.numbers[pick]));
  }

  drawFront();
  performance.mark("drawn");
  chart.on("plotly_click", (event) => {
    const row = event.points[0].customdata;
    if (row !== undefined) show(row);
  });
  byId("axis").addEventListener("change", chooseAxis);
  byId("pick").addEventListener("input", showPick);
  for (const link of document.querySelectorAll("[data-trial]")) {
    link.addEventListener("click", () => show(points.number.indexOf(Number(link.dataset.trial))));
  }
  if (points.place.includes(2)) show(points.place.lastIndexOf(2));
})();
