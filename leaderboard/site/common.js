// What the pages that load data share. No text of a result ever becomes markup here.
const site = (() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("page-data").textContent);

  /** Make an element: attributes by name, children as nodes or texts. */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const loading = new Map();

  /** Undo what `leaderboard.packing` did: base64, gzip, JSON. */
  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };

  /** Load a data file: a script that puts its value into `milannotations`. */
  const load = (name) => {
    if (!loading.has(name)) {
      loading.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        const failed = () => {
          loading.delete(name); // so that the next try asks again
          reject(new Error(`data/${name}.js cannot be loaded; was the whole folder copied?`));
        };
        script.src = `data/${name}.js`;
        script.onerror = failed;
        script.onload = () => {
          const packed = globalThis.milannotations?.[name];
          script.remove();
          if (packed === undefined) failed();
          else {
            delete globalThis.milannotations[name];
            resolve(unpack(packed));
          }
        };
        document.head.append(script);
      }));
    }
    return loading.get(name);
  };

  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };

  /** All neurons of a split: layers, and where each begins. */
  const layersOf = (index) => {
    let start = 0;
    return index.groups.map(([model, dataset, layer, units]) => {
      const group = { model, dataset, layer, units, start };
      start += units.length;
      return group;
    });
  };

  const groupAt = (layers, place) =>
    layers.findLast((group) => group.start <= place && place < group.start + group.units.length);

  /** What addresses call a neuron of a split. */
  const keyOf = (group, unit) =>
    [group.model, group.dataset, group.layer, unit].map(encodeURIComponent).join("/");

  /** The address of a neuron on its page. */
  const linkTo = (split, group, unit) =>
    `neuron.html#${encodeURIComponent(split)}/${keyOf(group, unit)}`;

  /** Undo `leaderboard.packing.quantize` for one value. */
  const valueOf = (step, low, size) =>
    step === "-" ? NaN : low + (step.charCodeAt(0) - 0x100) * size;

  /** The words on one neuron. */
  const wordsOf = async (split, place) => {
    const chunk = await load(`split-${split}/words-${Math.floor(place / data.chunk)}`);
    const at = place % data.chunk;
    const value = (own) => {
      const found = own === null ? NaN : valueOf(own[at], ...chunk.scale);
      return Number.isNaN(found) ? null : found;
    };
    return {
      said: chunk.said.map((own) => own?.[at] ?? null),
      values: chunk.values.map(value),
      references: chunk.references[at],
      picture: chunk.pictures[at] ?? null,
    };
  };

  const number = (value, digits = 3) => value.toFixed(digits).replace("-", "−");

  for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;
  return { byId, data, make, load, decoded, layersOf, groupAt, keyOf, linkTo, valueOf, wordsOf, number };
})();
