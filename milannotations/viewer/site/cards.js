// Cards: the facts about a unit as elements. Texts become text nodes, never markup.
const cards = (() => {
  "use strict";
  const { make } = page;
  const SVG = "http://www.w3.org/2000/svg";

  const draw = (tag, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  const number = (value) => {
    if (value === null || value === undefined) return "unknown";
    const size = Math.abs(value);
    const plain = size === 0 || (size >= 0.001 && size < 100000);
    const text = plain ? String(Number(value.toPrecision(3))) : value.toExponential(2);
    return text.replaceAll("-", "−");
  };

  const sheet = (facts, place, tile, title) => {
    const layout = facts.sheet;
    if (!layout) return make("p", { class: "sheet missing" }, "No exemplars are stored.");
    const size = { width: layout.columns * tile, height: layout.rows * tile };
    const picture = (kind, alt) =>
      make("img", {
        ...size, alt, src: `${place}.${kind}`, loading: "lazy", decoding: "async",
        class: kind === "png" ? "mask" : null,
      });
    const many = layout.count === 1 ? "image that activates" : `${layout.count} images that activate`;
    const box = make("div", { class: layout.image ? "sheet" : "sheet bare" });
    if (layout.image) box.append(picture("jpg", `The ${many} ${title} most, strongest first`));
    else box.setAttribute("title", "Source images are not attached: only the masks are shown.");
    if (layout.overlay) {
      const alone = `Masks of the ${many} ${title} most; the images are not attached`;
      box.append(picture("png", layout.image ? "" : alone));
    }
    const lacking = layout.columns * layout.rows - layout.count;
    if (lacking) {
      const blank = make("span", { class: "blank" });
      blank.style.width = `${(100 * lacking) / layout.columns}%`;
      blank.style.height = `${100 / layout.rows}%`;
      box.append(blank);
    }
    box.style.setProperty("--columns", layout.columns);
    box.style.setProperty("--rows", layout.rows);
    return box;
  };

  const WIDTH = 240;
  const HEIGHT = 44;
  const FOOT = 10; // height of the strip for the peaks' marks

  /** Draw the histogram, the threshold and the peaks on one axis; null if none is known. */
  const chart = (facts) => {
    const known = facts.statistics;
    const peaks = facts.peaks.filter((peak) => peak !== null);
    const marks = facts.threshold === null ? peaks : [facts.threshold, ...peaks];
    if (!marks.length && !known) return null;
    const low = Math.min(...marks, ...(known ? [known.low] : []));
    const high = Math.max(...marks, ...(known ? [known.high] : []));
    const span = high - low;
    const at = (value) => (span > 0 ? 1 + ((value - low) / span) * (WIDTH - 2) : WIDTH / 2);
    const top = known ? 0 : HEIGHT - FOOT - 12;
    const view = `0 ${top} ${WIDTH} ${HEIGHT - top}`;
    const svg = draw("svg", { viewBox: view, class: "chart", role: "img" });
    const base = HEIGHT - FOOT;
    const said = [];
    if (known) {
      const tallest = Math.log1p(Math.max(...known.counts, 1));
      const step = (known.high - known.low) / known.counts.length;
      known.counts.forEach((count, index) => {
        if (!count) return;
        const start = known.low + index * step;
        const height = (Math.log1p(count) / tallest) * (base - 2);
        const above = facts.threshold !== null && start + step / 2 >= facts.threshold;
        svg.append(draw("rect", {
          x: at(start), y: base - height, height,
          width: Math.max(0.5, at(start + step) - at(start) - 0.6),
          class: above ? "above" : "below",
        }));
      });
      said.push(`Histogram of activations from ${number(known.minimum)} to ${number(known.maximum)}`);
    }
    svg.append(draw("line", { x1: 0, x2: WIDTH, y1: base, y2: base, class: "axis" }));
    for (const peak of peaks) {
      const x = at(peak);
      svg.append(draw("line", { x1: x, x2: x, y1: base + 2, y2: HEIGHT, class: "peak" }));
    }
    if (peaks.length) {
      said.push(`peaks of the exemplars from ${number(Math.min(...peaks))} to ${number(Math.max(...peaks))}`);
    }
    if (facts.threshold !== null) {
      const x = at(facts.threshold);
      svg.append(draw("line", { x1: x, x2: x, y1: top, y2: base + 2, class: "threshold" }));
      said.push(`threshold ${number(facts.threshold)}`);
    }
    svg.setAttribute("aria-label", said.join("; "));
    const ends = [];
    if (known) ends.push(["least", known.minimum]);
    ends.push(["threshold", facts.threshold]);
    ends.push(["peak", peaks.length ? Math.max(...peaks) : null]);
    const list = ends.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, number(value))));
    return make("figure", { class: "activations" }, svg, make("dl", {}, ...list));
  };

  const annotations = (texts) => {
    if (!texts.length) return null;
    const items = texts.map((text) => make("li", { dir: "auto" }, text));
    return make("div", { class: "references" }, make("h4", {}, "Annotations"), make("ul", {}, ...items));
  };

  const descriptions = (said, methods) => {
    if (!said.length) return null;
    const items = said.map(([method, text]) =>
      make("li", {},
        make("span", { class: "speaker" }, make("bdi", {}, methods[method])),
        make("span", { class: "text", dir: "auto" }, text || "no words")));
    return make("div", {}, make("h4", {}, "Descriptions"), make("ul", { class: "said" }, ...items));
  };

  const exemplars = (facts, open) => {
    const count = Math.max(facts.ids.length, facts.peaks.length);
    if (!count) return null;
    const columns = [["rank", (at) => String(at + 1)]];
    if (facts.peaks.length) columns.push(["peak", (at) => number(facts.peaks[at])]);
    if (facts.ids.length) columns.push(["image id", (at) => String(facts.ids[at] ?? "")]);
    if (facts.names.length) columns.push(["image", (at) => facts.names[at] ?? ""]);
    const head = columns.map(([name]) => make("th", { scope: "col" }, name));
    const rows = Array.from({ length: count }, (_, at) =>
      make("tr", {}, ...columns.map(([, cell]) => make("td", {}, make("bdi", {}, cell(at))))));
    const table = make("table", {},
      make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
    const details = make("details", { class: "exemplars" },
      make("summary", {}, count === 1 ? "1 exemplar" : `${count} exemplars`), table);
    details.open = open;
    return details;
  };

  /** Make the card of one unit; a `chosen` card is wide and shows everything. */
  const card = ({ unit, facts, place, link, back, chosen, methods, tile }) => {
    const title = `unit ${unit}`;
    const heading = make("h3", {},
      make("a", { href: chosen ? back : link, title: chosen ? "Show it small again" : "Show it large" },
        `Unit ${unit}`));
    const words = make("div", { class: "words" }, heading, chart(facts),
      annotations(facts.annotations), descriptions(facts.said, methods));
    return make("article",
      { class: chosen ? "card chosen" : "card", "aria-label": title, "data-unit": unit },
      ...[sheet(facts, place, tile, title), words, exemplars(facts, chosen)].filter(Boolean));
  };

  return { card };
})();
