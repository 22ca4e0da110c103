// Sorting, filtering and switching. Everything works on elements that are already on the page;
// no text of a result ever becomes markup here.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("page-data").textContent);

  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  for (const button of document.querySelectorAll(".sort, .open")) button.disabled = false;

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
    const sign = direction === "ascending" ? 1 : -1;
    if (key === "title") return sign * a.title.localeCompare(b.title, "en");
    const [x, y] = [a.values[Number(key)], b.values[Number(key)]];
    if (x === null || y === null) return (x === null) - (y === null); // no value: always last
    return sign * (x - y);
  };

  const sortBy = (header) => {
    const key = header.dataset.sort;
    const first = firstDirection(key);
    const second = first === "ascending" ? "descending" : "ascending";
    const direction = header.getAttribute("aria-sort") === first ? second : first;
    for (const other of headers) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    // Sorting is stable and starts from the board's own order, which settles ties.
    for (const entry of [...entries].sort(compare(key, direction))) table.append(entry.body);
  };

  for (const header of headers) {
    header.querySelector(".sort").addEventListener("click", () => sortBy(header));
  }
  for (const button of table.querySelectorAll(".open")) {
    button.addEventListener("click", () => {
      const details = byId(button.getAttribute("aria-controls"));
      details.hidden = !details.hidden;
      button.setAttribute("aria-expanded", String(!details.hidden));
    });
  }

  const words = (input) => input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (text, wanted) => wanted.every((word) => text.includes(word));

  const methodFilter = byId("method-filter");
  const filterMethods = () => {
    const wanted = words(methodFilter);
    let shown = 0;
    for (const entry of entries) {
      entry.body.hidden = !matches(entry.search, wanted);
      shown += entry.body.hidden ? 0 : 1;
    }
    byId("method-count").textContent = wanted.length
      ? `${shown} of ${entries.length} methods`
      : `${entries.length} methods`;
    byId("no-methods").hidden = shown > 0;
  };
  methodFilter.addEventListener("input", filterMethods);
  filterMethods();

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
    // The prefix tells a layer with an empty name from "All layers".
    for (const layer of layers) layerFilter.add(new Option(layer, `=${layer}`));
    layerFilter.value = layers.includes(before.slice(1)) ? before : "";
  };

  const filterNeurons = () => {
    const wanted = words(textFilter);
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
  splitFilter.addEventListener("change", () => {
    offerLayers();
    filterNeurons();
  });
  layerFilter.addEventListener("change", filterNeurons);
  textFilter.addEventListener("input", filterNeurons);
  const maskToggle = byId("mask-toggle");
  const showMasks = () => cards.classList.toggle("plain", !maskToggle.checked);
  maskToggle.addEventListener("change", showMasks);
  showMasks(); // a browser may restore the switch when the page is opened again
  offerLayers();
  filterNeurons();
})();
