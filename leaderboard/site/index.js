// Sorting, filtering and switching. The script works on elements that are already on the page; texts
// of results never become markup.
(() => {
  "use strict";
  const { byId, data, make, wordsIn } = page;
  for (const button of document.querySelectorAll(".sort")) button.disabled = false;

  // Table ------------------------------------------------------------------------------------
  const table = byId("scores");
  const headers = [...table.querySelectorAll("th[data-sort]")];
  const entries = data.methods.map((method, index) => ({
    ...method,
    search: method.search.toLowerCase(),
    body: byId(`method-${index}`),
  }));

  const firstDirection = (key) =>
    key === "title" || !data.columns[Number(key)].higherIsBetter ? "ascending" : "descending";

  const compare = (key, direction) => (a, b) => {
    if (key === "") return 0; // the board's own order
    const sign = direction === "ascending" ? 1 : -1;
    if (key === "title") return sign * a.title.localeCompare(b.title, "en");
    const [x, y] = [a.values[Number(key)], b.values[Number(key)]];
    if (x === null || y === null) return (x === null) - (y === null); // no value: always last
    return sign * (x - y);
  };

  let order = entries;
  const headerOf = (key) => headers.find((header) => header.dataset.sort === key);

  const sortBy = (key, direction) => {
    for (const other of headers) other.removeAttribute("aria-sort");
    headerOf(key)?.setAttribute("aria-sort", direction);
    // Sorting is stable and starts from the board's own order, which settles ties.
    const wanted = [...entries].sort(compare(key, direction));
    if (wanted.some((entry, at) => entry !== order[at])) table.append(...wanted.map((entry) => entry.body));
    order = wanted;
  };

  for (const header of headers) {
    header.querySelector(".sort").addEventListener("click", () => {
      const key = header.dataset.sort;
      const first = firstDirection(key);
      const second = first === "ascending" ? "descending" : "ascending";
      const direction = header.getAttribute("aria-sort") === first ? second : first;
      go({ sort: `${key}.${direction}` });
    });
  }

  // Addresses --------------------------------------------------------------------------------
  // The fragment holds every choice, so that every state has an address. Typing replaces the address;
  // a click adds one, so that "back" returns to the previous state.
  const state = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  const go = (changes, replace = false) => {
    const next = state();
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    const text = `#${next}`;
    if (replace) history.replaceState(null, "", text);
    else if (text !== location.hash) location.hash = text;
    restore(); // at once; the later hashchange event then changes nothing
  };

  const matches = (text, wanted) => wanted.every((word) => text.includes(word));

  const methodFilter = byId("method-filter");
  const kindFilter = byId("kind-filter");
  const filterMethods = () => {
    const wanted = wordsIn(methodFilter);
    let shown = 0;
    for (const entry of entries) {
      const kind = kindFilter.value === "" || kindFilter.value === entry.kind;
      entry.body.hidden = !(kind && matches(entry.search, wanted));
      shown += entry.body.hidden ? 0 : 1;
    }
    byId("method-count").textContent = shown < entries.length
      ? `${shown} of ${entries.length} methods`
      : `${entries.length} methods`;
    byId("no-methods").hidden = shown > 0;
  };
  methodFilter.addEventListener("input", () => go({ methods: methodFilter.value }, true));
  kindFilter.addEventListener("change", () => go({ kind: kindFilter.value }));

  // Columns ----------------------------------------------------------------------------------
  const columnFilter = byId("column-filter");
  const switches = (columnFilter ? data.scored : []).map(({ split, title }) => {
    const box = make("input", { type: "checkbox" });
    box.checked = true;
    columnFilter.append(make("label", {}, box, " ", make("bdi", {}, title)));
    box.addEventListener("change", () => {
      const hidden = switches.filter((one) => !one.box.checked).map((one) => one.split);
      go({ hide: hidden.join(".") });
    });
    return { split: String(split), box };
  });
  if (columnFilter && switches.length < 2) columnFilter.hidden = true;

  const showColumns = () => {
    const hidden = new Set((state().get("hide") ?? "").split(".").filter(Boolean));
    for (const { split, box } of switches) {
      box.checked = !hidden.has(split);
    }
    const known = new Set(switches.map((one) => one.split));
    for (const cell of table.querySelectorAll("[data-split]")) {
      cell.hidden = known.has(cell.dataset.split) && hidden.has(cell.dataset.split);
    }
  };

  let shownColumns = "";
  const restoreTable = () => {
    const asked = state();
    const [key, direction] = (asked.get("sort") ?? "").split(".");
    const known = headerOf(key) && ["ascending", "descending"].includes(direction);
    if (known) sortBy(key, direction);
    else if (data.main !== null) sortBy(String(data.main), firstDirection(String(data.main)));
    else sortBy("", "ascending");
    if (document.activeElement !== methodFilter) methodFilter.value = asked.get("methods") ?? "";
    kindFilter.value = asked.get("kind") ?? "";
    if (kindFilter.selectedIndex < 0) kindFilter.value = "";
    if ((asked.get("hide") ?? "") !== shownColumns) {
      shownColumns = asked.get("hide") ?? "";
      showColumns();
    }
    filterMethods();
  };
  let restore = restoreTable;
  addEventListener("hashchange", () => {
    if (location.hash.includes("=") || location.hash === "") restore();
  });
  restoreTable();
  performance.mark("interactive");

  // Gallery ----------------------------------------------------------------------------------
  const cards = byId("cards");
  if (!cards) return;
  const neurons = data.neurons.map((neuron, index) => ({
    ...neuron,
    search: neuron.search.toLowerCase(),
    card: byId(`neuron-${index}`),
  }));
  const splitFilter = byId("split-filter");
  const layerFilter = byId("layer-filter");
  const textFilter = byId("text-filter");

  const inSplit = (neuron) =>
    splitFilter.value === "" || neuron.split === Number(splitFilter.value);

  const offerLayers = () => {
    const before = layerFilter.value;
    const layers = [...new Set(neurons.filter(inSplit).map((neuron) => neuron.layer))];
    layerFilter.length = 1; // keeps "All layers"
    // The prefix distinguishes a layer with an empty name from "All layers".
    for (const layer of layers) layerFilter.add(new Option(layer, `=${layer}`));
    layerFilter.value = layers.includes(before.slice(1)) ? before : "";
  };

  const filterNeurons = () => {
    const wanted = wordsIn(textFilter);
    let shown = 0;
    for (const neuron of neurons) {
      const layer = layerFilter.value === "" || layerFilter.value === `=${neuron.layer}`;
      neuron.card.hidden = !(inSplit(neuron) && layer && matches(neuron.search, wanted));
      shown += neuron.card.hidden ? 0 : 1;
    }
    for (const section of cards.children) {
      section.hidden = !section.querySelector(".card:not([hidden])");
    }
    byId("neuron-count").textContent =
      shown === neurons.length ? `${shown} neurons` : `${shown} of ${neurons.length} neurons`;
    byId("no-neurons").hidden = shown > 0;
  };

  data.splits.forEach((split, index) => splitFilter.add(new Option(split, String(index))));
  const maskToggle = byId("mask-toggle");
  splitFilter.addEventListener("change", () => go({ split: splitFilter.value }));
  layerFilter.addEventListener("change", () => go({ layer: layerFilter.value }));
  textFilter.addEventListener("input", () => go({ words: textFilter.value }, true));
  maskToggle.addEventListener("change", () => go({ masks: maskToggle.checked ? "" : "off" }));

  const restoreGallery = () => {
    const asked = state();
    const choose = (field, value) => {
      field.value = value;
      if (field.selectedIndex < 0) field.value = "";
    };
    choose(splitFilter, asked.get("split") ?? "");
    offerLayers();
    choose(layerFilter, asked.get("layer") ?? "");
    if (document.activeElement !== textFilter) textFilter.value = asked.get("words") ?? "";
    maskToggle.checked = asked.get("masks") !== "off";
    cards.classList.toggle("plain", !maskToggle.checked);
    filterNeurons();
  };
  restore = () => {
    restoreTable();
    restoreGallery();
  };
  restoreGallery();
})();
