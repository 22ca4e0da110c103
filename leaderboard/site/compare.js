// Two methods on the same neurons: scatter plot, paired difference, largest differences.
(() => {
  "use strict";
  const { byId, data, make } = page;
  const { load, layersOf, groupAt, keyOf, linkTo, valueOf, wordsOf, number } = site;
  const fields = Object.fromEntries(["a", "b", "split", "metric", "layer"].map((name) => [name, byId(name)]));
  const canvas = byId("scatter");
  const EXAMPLES = 8;
  let turn = 0;
  let now = null;
  let chosen = null;

  const say = (text) => {
    byId("message").textContent = text;
  };

  const add = (field, options) => field.replaceChildren(...options.map(([text, value]) => new Option(text, value)));
  const methods = data.methods.map((method) => [method.title, method.name]);
  add(fields.a, methods);
  add(fields.b, methods);
  add(fields.split, data.splits.map((split) => [split.title, split.title]));

  const state = () => new URLSearchParams(location.hash.slice(1));
  const choose = (field, value) => {
    field.value = value;
    if (field.selectedIndex < 0) field.selectedIndex = 0;
  };

  /** Read the choice from the address; the first option is the default. */
  const read = () => {
    const asked = state();
    const ranked = data.methods.filter((method) => method.kind === "method").map((method) => method.name);
    const names = [...ranked, ...data.methods.map((method) => method.name)];
    const first = asked.get("a") ?? names.find((name) => name !== asked.get("b"));
    choose(fields.a, first);
    choose(fields.b, asked.get("b") ?? names.find((name) => name !== first) ?? first);
    choose(fields.split, asked.get("split") ?? data.splits[0].title);
  };

  const write = (neuron = "") => {
    const entries = [...Object.entries(fields).map(([name, field]) => [name, field.value]), ["neuron", neuron]];
    const next = new URLSearchParams(entries.filter(([, value]) => value));
    if (`#${next}` !== location.hash) location.hash = next; // the hashchange event draws the page
  };

  /** Report why there is nothing to compare, and disable choices without effect. */
  const nothing = (reason) => {
    now = null;
    byId("comparison").hidden = true;
    for (const field of [fields.metric, fields.layer]) field.disabled = true;
    say(reason);
  };

  const rowOf = (name) => data.methods.findIndex((method) => method.name === name);

  const draw = async () => {
    const own = ++turn;
    read();
    const split = data.splits.find((one) => one.title === fields.split.value);
    const rows = [rowOf(fields.a.value), rowOf(fields.b.value)];
    try {
      const index = await load(`split-${split.number}/index`);
      const scored = data.scored[split.number];
      const lacking = rows.filter((row) => !scored.includes(row));
      if (lacking.length) {
        if (own !== turn) return;
        nothing(`${lacking.map((row) => data.methods[row].title).join(" and ")} ${lacking.length > 1 ? "have" : "has"} no score on this split.`);
        return;
      }
      const values = await Promise.all(rows.map((row) => load(`split-${split.number}/values-${row}`)));
      if (own !== turn) return;
      const shared = index.metrics.filter((metric) => values.every((one) => one[metric]));
      if (!shared.length) {
        nothing("The two have no metric that can be compared on this split.");
        return;
      }
      add(fields.metric, shared.map((metric) => [data.metrics[metric]?.title ?? metric, metric]));
      choose(fields.metric, state().get("metric") ?? (shared.includes(data.main) ? data.main : shared[0]));
      const layers = layersOf(index);
      const several = new Set(layers.map((one) => `${one.model} ${one.dataset}`)).size > 1;
      add(fields.layer, [["All layers", ""], ...layers.map((one, at) => [several ? `${one.model} · ${one.layer}` : one.layer, String(at)])]);
      choose(fields.layer, state().get("layer") ?? "");
      const metric = fields.metric.value;
      const inside = fields.layer.value === "" ? null : layers[Number(fields.layer.value)];
      const [x, y] = values.map(({ [metric]: { low, step, at } }) => Array.from(at, (one) => valueOf(one, low, step)));
      const points = [];
      for (let place = 0; place < x.length; place += 1) {
        const fits = !inside || (inside.start <= place && place < inside.start + inside.units.length);
        if (fits && !Number.isNaN(x[place]) && !Number.isNaN(y[place])) points.push({ place, x: x[place], y: y[place] });
      }
      now = { split, layers, points, rows, metric };
      byId("comparison").hidden = false;
      for (const field of [fields.metric, fields.layer]) field.disabled = false;
      say("");
      drawSummary();
      drawLists();
      drawChosen(now.points.find((point) => keyAt(point) === state().get("neuron")));
    } catch (error) {
      if (own === turn) say(error.message);
    }
  };

  const drawSummary = () => {
    const gaps = now.points.map((point) => point.x - point.y);
    const n = gaps.length;
    if (!n) {
      byId("summary").textContent = "No neuron has both.";
      return;
    }
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / n;
    const spread = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / Math.max(1, n - 1));
    const half = (1.96 * spread) / Math.sqrt(n);
    const higher = gaps.filter((gap) => gap > 0).length;
    const [first, second] = now.rows.map((row) => data.methods[row].title);
    byId("summary").replaceChildren(
      make("bdi", {}, first), " − ", make("bdi", {}, second), ` = ${number(mean)}`,
      n > 1 ? ` (normal 95% interval of the mean over ${n.toLocaleString("en")} neurons ${number(mean - half)} to ${number(mean + half)})` : "",
      `; the first is higher on ${Math.round((100 * higher) / n)}% of them.`);
  };

  const drawLists = () => {
    const better = data.metrics[now.metric]?.higherIsBetter === false ? -1 : 1;
    ["first", "second"].forEach((side, which) => {
      const sign = (which === 0 ? 1 : -1) * better;
      const most = now.points.filter((point) => sign * (point.x - point.y) > 0)
        .sort((p, q) => sign * (q.x - q.y - (p.x - p.y))).slice(0, EXAMPLES);
      byId(`${side}-title`).replaceChildren(make("bdi", {}, data.methods[now.rows[which]].title), " is better by most");
      byId(`${side}-better`).replaceChildren(...most.map((point) => {
        const item = make("li", {}, address(point), " ", make("span", { class: "own" }, `${number(point.x, 2)} against ${number(point.y, 2)}`));
        showWords(item, point);
        return item;
      }));
    });
  };

  const unitAt = (point) => {
    const group = groupAt(now.layers, point.place);
    return [group, group.units[point.place - group.start]];
  };
  const keyAt = (point) => keyOf(...unitAt(point));

  const address = (point) => {
    const [group, unit] = unitAt(point);
    return make("a", { href: linkTo(now.split.title, group, unit) }, make("bdi", {}, group.layer), ` unit ${unit}`);
  };

  /** Add both methods' descriptions of a neuron to an element once they are loaded. */
  const showWords = async (element, point) => {
    const { split, rows } = now;
    const words = await wordsOf(split.number, point.place);
    for (const row of rows) {
      element.append(make("p", { class: "text", dir: "auto" },
        make("span", { class: "speaker" }, make("bdi", {}, data.methods[row].title), ": "), words.said[row] || "no description"));
    }
    if (words.references.length) element.append(make("p", { class: "references", dir: "auto" }, words.references.slice(0, 3).join(" · ")));
  };

  // Scatter ----------------------------------------------------------------------------------
  const PAD = { left: 64, right: 16, top: 12, bottom: 52 };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Return about five round values between two ends, and the digits that they need. */
  const ticksOf = (low, high) => {
    const power = 10 ** Math.floor(Math.log10((high - low) / 5));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= (high - low) / 5);
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return { digits, values: Array.from({ length: count }, (_, at) => (first + at) * step) };
  };

  const axisTitle = (which) => {
    const { title } = data.methods[now.rows[which]];
    return title.length > 44 ? `${title.slice(0, 43)}…` : title;
  };

  const scale = () => {
    const all = now.points.flatMap((point) => [point.x, point.y]);
    let [low, high] = all.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    if (!(high > low)) [low, high] = [(all[0] ?? 0) - 0.5, (all[0] ?? 0) + 0.5];
    const size = canvas.clientWidth;
    const across = size - PAD.left - PAD.right;
    const up = size - PAD.top - PAD.bottom;
    return {
      low, high, size,
      x: (value) => PAD.left + ((value - low) / (high - low)) * across,
      y: (value) => size - PAD.bottom - ((value - low) / (high - low)) * up,
    };
  };

  const drawScatter = (marked) => {
    if (!now || !canvas.clientWidth) return;
    const at = scale();
    const ratio = devicePixelRatio || 1;
    canvas.width = at.size * ratio;
    canvas.height = at.size * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.lineWidth = 1;
    const { digits, values } = ticksOf(at.low, at.high);
    for (const value of values) {
      pen.strokeStyle = colour("--line");
      pen.beginPath();
      pen.moveTo(at.x(value), at.y(at.low));
      pen.lineTo(at.x(value), at.y(at.high));
      pen.moveTo(at.x(at.low), at.y(value));
      pen.lineTo(at.x(at.high), at.y(value));
      pen.stroke();
      pen.fillStyle = colour("--soft");
      pen.textAlign = "center";
      pen.fillText(number(value, digits), at.x(value), at.size - PAD.bottom + 18);
      pen.textAlign = "right";
      pen.fillText(number(value, digits), PAD.left - 8, at.y(value) + 4);
    }
    pen.textAlign = "center";
    pen.fillText(axisTitle(0), (at.x(at.low) + at.x(at.high)) / 2, at.size - 8);
    pen.save();
    pen.translate(16, (at.y(at.low) + at.y(at.high)) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(axisTitle(1), 0, 0);
    pen.restore();
    pen.strokeStyle = colour("--chance");
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.moveTo(at.x(at.low), at.y(at.low));
    pen.lineTo(at.x(at.high), at.y(at.high));
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colour("--accent");
    pen.globalAlpha = Math.min(0.75, Math.max(0.2, 60 / Math.sqrt(now.points.length)));
    const radius = now.points.length > 3000 ? 1.6 : 3;
    for (const point of now.points) {
      pen.beginPath();
      pen.arc(at.x(point.x), at.y(point.y), radius, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (marked) {
      pen.strokeStyle = colour("--chance");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(at.x(marked.x), at.y(marked.y), 7, 0, 7);
      pen.stroke();
    }
  };

  /** Mark the chosen neuron in the plot and show its descriptions; null clears both. */
  const drawChosen = (point) => {
    chosen = point ?? null;
    drawScatter(chosen);
    byId("chosen").replaceChildren();
    if (!chosen) return;
    const item = make("div", {}, address(point), " ", make("span", { class: "own" }, `${number(point.x)} against ${number(point.y)}`));
    byId("chosen").replaceChildren(item);
    showWords(item, point);
  };

  canvas.addEventListener("click", (event) => {
    if (!now || !now.points.length) return;
    const at = scale();
    const far = (point) => (at.x(point.x) - event.offsetX) ** 2 + (at.y(point.y) - event.offsetY) ** 2;
    const nearest = now.points.reduce((best, point) => (far(point) < far(best) ? point : best));
    if (far(nearest) <= 400) write(keyAt(nearest));
  });

  for (const [name, field] of Object.entries(fields)) {
    field.addEventListener("change", () => {
      if (name === "split") fields.layer.replaceChildren();
      write();
    });
  }
  addEventListener("hashchange", draw);
  addEventListener("resize", () => drawScatter(chosen));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawScatter(chosen));
  draw();
})();
