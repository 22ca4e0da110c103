// Functions that the pages which load data share.
const site = (() => {
  "use strict";
  const { data } = page;

  /** Unpack what `leaderboard.site_data` packed: base64, gzip, JSON. */
  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };

  /** Load one of the site's data files. */
  const load = (name) => page.load(`data/${name}.js`, name, unpack);

  /** Return the layers of a split, each with the index of its first neuron. */
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

  /** Return the key of a neuron in addresses. */
  const keyOf = (group, unit) =>
    [group.model, group.dataset, group.layer, unit].map(encodeURIComponent).join("/");

  /** Return the address of a neuron's page. */
  const linkTo = (split, group, unit) =>
    `neuron.html#${encodeURIComponent(split)}/${keyOf(group, unit)}`;

  /** Decode one value that `leaderboard.site_data.quantize` encoded. */
  const valueOf = (step, low, size) =>
    step === "-" ? NaN : low + (step.charCodeAt(0) - 0x100) * size;

  /** Load the descriptions, values and references of one neuron. */
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

  return { load, layersOf, groupAt, keyOf, linkTo, valueOf, wordsOf, number };
})();
