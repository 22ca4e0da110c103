// One neuron: its pictures, references and every method's description. The address holds the neuron,
// and whether masks are shown: `#split/model/dataset/layer/unit?masks=off`.
(() => {
  "use strict";
  const { byId, data, make, decoded } = page;
  const { load, layersOf, linkTo, wordsOf, number } = site;
  const [splitField, layerField, unitField] = ["split", "layer", "unit"].map(byId);
  let turn = 0; // of drawing; a result that arrives too late is dropped
  let now = null;

  data.splits.forEach((split) => splitField.add(new Option(split.title, String(split.number))));

  const say = (text) => {
    byId("message").textContent = text;
  };

  /** Return the neuron that the address names, or else the first one. */
  const wanted = () => {
    const parts = location.hash.slice(1).split("?")[0].split("/").map(decoded);
    const split = data.splits.find((one) => one.title === parts[0]);
    return { split: split ?? data.splits[0], rest: split ? parts.slice(1) : [] };
  };

  const go = (group, unit) => {
    const target = linkTo(now.split.title, group, unit).split("#")[1] + masks();
    if (location.hash === `#${target}`) draw();
    else location.hash = target;
  };

  const toggle = byId("mask-toggle");
  const masks = () => (toggle.checked ? "" : "?masks=off");
  const showMasks = () => {
    toggle.checked = !location.hash.endsWith("?masks=off");
    byId("picture").classList.toggle("plain", !toggle.checked);
  };

  const fill = (field, options, chosen) => {
    field.replaceChildren(...options.map((text, at) => new Option(text, String(at))));
    field.value = String(chosen);
  };

  const drawPicture = (picture) => {
    if (picture === null) {
      byId("picture").replaceChildren(make("p", { class: "missing" }, data.pictures
        ? "This site has no picture of this neuron."
        : "Source images are not attached."));
      return;
    }
    const size = { width: picture.columns * picture.tile, height: picture.rows * picture.tile };
    const sheet = make("div", { class: `sheet columns-${picture.columns} rows-${picture.rows}` },
      make("img", { src: picture.image, alt: "The images that activate the neuron most", ...size }),
      make("img", { src: picture.overlay, class: "mask", alt: "", ...size }));
    byId("picture").replaceChildren(sheet);
  };

  const drawWords = (words) => {
    byId("references").replaceChildren(...(words.references.length
      ? words.references.map((text) => make("li", { dir: "auto" }, text))
      : [make("li", { class: "none" }, "none")]));
    const rows = data.methods
      .map((method, at) => ({ ...method, text: words.said[at], value: words.values[at] }))
      .filter((row) => row.text !== null);
    const sign = data.higherIsBetter ? 1 : -1;
    rows.sort((a, b) => (a.value === null) - (b.value === null) || sign * (b.value - a.value));
    byId("said").replaceChildren(...rows.map((row) => make("tr", { class: row.kind },
      make("th", { scope: "row" }, make("a", { href: `methods/${row.name}.html` }, make("bdi", {}, row.title))),
      make("td", { dir: "auto" }, row.text || "no description"),
      make("td", { class: "number" }, row.value === null ? "–" : number(row.value)))));
    const scored = rows.some((row) => row.value !== null);
    byId("metric-name").textContent = scored ? data.metric : "Score";
    byId("best-note").textContent = scored
      ? `${data.metric} of this neuron alone, best first.`
      : "This neuron has no annotations, so descriptions have no scores.";
  };

  const draw = async () => {
    const own = ++turn;
    showMasks();
    const { split, rest } = wanted();
    try {
      const layers = layersOf(await load(`split-${split.number}/index`));
      const [model, dataset, layer, unit] = rest;
      let group = layers.find((one) => one.model === model && one.dataset === dataset && one.layer === layer);
      const missing = rest.length > 0 && (!group || !group.units.includes(Number(unit)));
      group ??= layers[0];
      if (!group) {
        say("No neuron of this split was described.");
        return;
      }
      const at = Math.max(0, group.units.indexOf(Number(unit)));
      const words = await wordsOf(split.number, group.start + at);
      if (own !== turn) return;
      now = { split, layers, group, at };
      say(missing ? "There is no neuron with this address; this is the nearest." : "");
      splitField.value = String(split.number);
      const several = new Set(layers.map((one) => `${one.model} ${one.dataset}`)).size > 1;
      fill(layerField, layers.map((one) => (several ? `${one.model} · ${one.layer}` : one.layer)), layers.indexOf(group));
      fill(unitField, group.units.map(String), at);
      byId("previous").disabled = at === 0;
      byId("next").disabled = at === group.units.length - 1;
      byId("neuron-name").replaceChildren(make("bdi", {}, group.layer), ` unit ${group.units[at]}`);
      byId("neuron-network").replaceChildren(make("bdi", {}, group.model), " · ", make("bdi", {}, group.dataset), " · split ", make("bdi", {}, split.title));
      document.title = `${group.layer} unit ${group.units[at]} · ${data.title}`;
      drawPicture(words.picture);
      drawWords(words);
      byId("neuron").hidden = false;
    } catch (error) {
      if (own === turn) say(error.message);
    }
  };

  splitField.addEventListener("change", () => {
    const split = data.splits.find((one) => one.number === Number(splitField.value));
    location.hash = encodeURIComponent(split.title) + masks();
  });
  layerField.addEventListener("change", () => {
    const group = now.layers[Number(layerField.value)];
    go(group, group.units[0]);
  });
  unitField.addEventListener("change", () => go(now.group, now.group.units[Number(unitField.value)]));
  const step = (by) => now && now.group.units[now.at + by] !== undefined && go(now.group, now.group.units[now.at + by]);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  toggle.addEventListener("change", () => {
    // Replaces the address, so that "back" returns to the previous neuron.
    history.replaceState(null, "", `#${location.hash.slice(1).split("?")[0]}${masks()}`);
    showMasks();
  });
  addEventListener("hashchange", draw);
  draw();
})();
