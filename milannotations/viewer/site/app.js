// What the page shows: layer, page, order and search. Data are loaded when they are needed.
(() => {
  "use strict";
  const { byId, data, make, decoded, wordsIn } = page;
  const { card } = cards;
  const grid = byId("cards");
  const message = byId("message");
  const search = byId("search");
  const sort = byId("sort");
  const pageField = byId("page");

  const now = { layer: 0, page: 0, chosen: null, order: [], list: null };
  let turn = 0; // number of the current drawing; results of earlier ones are dropped

  /** Load one of a layer's files. */
  const load = (layer, name) => {
    const key = `${layer.folder}/${name}`;
    return page.load(`layers/${key}.js`, key);
  };

  // Addresses --------------------------------------------------------------------------------
  const linkTo = (layer, unit = null) =>
    `#${encodeURIComponent(layer.label)}${unit === null ? "" : `/${unit}`}`;

  /** Return the layer that a fragment names, and the unit if it ends with one. */
  const parse = (fragment) => {
    const text = fragment.replace(/^#/, "");
    const find = (label) => data.layers.findIndex((layer) => layer.label === decoded(label));
    const [, label, unit] = /^(.*)\/(\d+)$/.exec(text) ?? [null, text, null];
    const [inLayer, whole] = [find(label), find(text)];
    if (unit !== null && inLayer >= 0) return { layer: inLayer, unit: Number(unit) };
    return { layer: whole, unit: null };
  };

  // Layers -----------------------------------------------------------------------------------
  const layerLinks = data.layers.map((layer) =>
    make("a", { href: linkTo(layer) },
      make("bdi", { class: "name" }, layer.name || layer.label),
      make("span", { class: "units" }, layer.units.toLocaleString("en"),
        make("span", { class: "sr" }, layer.units === 1 ? " unit" : " units"))));
  const networks = data.networks.map((names) => names.filter(Boolean).join(" · "));
  networks.forEach((title, network) => {
    const own = layerLinks.filter((_, index) => data.layers[index].network === network);
    const list = make("ul", { "aria-label": title || "Layers" }, ...own.map((link) => make("li", {}, link)));
    const heading = networks.length > 1 ? make("h3", {}, make("bdi", {}, title)) : null;
    byId("layers").append(...[heading, list].filter(Boolean));
  });

  // Order ------------------------------------------------------------------------------------
  const sorted = (list) => {
    const order = Array.from(list.units, (_, index) => index);
    if (sort.value === "units") return order; // as they are stored
    const values = list[sort.value];
    const first = (value) => (value === null ? -Infinity : value);
    return order.sort((a, b) => {
      const [x, y] = [first(values[a]), first(values[b])];
      return x === y ? a - b : y - x;
    });
  };

  const wanted = () => wordsIn(search);

  const filtered = async (order, list, layer) => {
    const terms = wanted();
    if (!terms.length) return order;
    const words = await load(layer, "words");
    const texts = order.map((index) => words[index].toLowerCase());
    const fits = (text, unit) =>
      terms.every((term) => term === String(unit) || text.includes(term));
    return order.filter((index, at) => fits(texts[at], list.units[index]));
  };

  const pages = () => Math.max(1, Math.ceil(now.order.length / data.perPage));

  // Drawing ----------------------------------------------------------------------------------
  const say = (text) => {
    message.textContent = text;
    message.hidden = !text;
  };

  const count = (layer) => {
    const units = (number) => `${number.toLocaleString("en")} ${number === 1 ? "unit" : "units"}`;
    return wanted().length
      ? `${now.order.length.toLocaleString("en")} of ${units(layer.units)}`
      : units(layer.units);
  };

  /** Mark the layer in the list, and scroll the list, but not the page, to it. */
  const markLayer = () => {
    layerLinks.forEach((link, index) => {
      if (index === now.layer) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    const link = layerLinks[now.layer];
    const [side, list] = [link.closest(".layers"), link.closest("ul")];
    const within = (start, size, from, room) => start >= from && start + size <= from + room;
    if (!within(link.offsetTop, link.offsetHeight, side.scrollTop, side.clientHeight)) {
      side.scrollTop = link.offsetTop - side.clientHeight / 2;
    }
    if (!within(link.offsetLeft, link.offsetWidth, list.scrollLeft, list.clientWidth)) {
      list.scrollLeft = link.offsetLeft - list.clientWidth / 2;
    }
  };

  const drawTools = (layer) => {
    markLayer();
    byId("layer-title").replaceChildren(make("bdi", {}, layer.name || layer.label));
    byId("network").textContent = networks.length > 1 ? networks[layer.network] : "";
    document.title = `${layer.label} · ${data.title}`;
    const last = pages();
    byId("count").textContent =
      count(layer) + (last > 1 ? `, page ${now.page + 1} of ${last}` : "");
    byId("pages").textContent = `of ${last}`;
    pageField.max = last;
    pageField.value = now.page + 1;
    for (const pager of document.querySelectorAll(".pager")) pager.hidden = last === 1;
    for (const button of document.querySelectorAll("[data-step]")) {
      const target = now.page + Number(button.dataset.step);
      // Not `disabled`, which would take the keyboard focus away.
      button.setAttribute("aria-disabled", String(target < 0 || target >= last));
    }
  };

  const drawCards = async (layer, token) => {
    const first = now.page * data.perPage;
    const shown = now.order.slice(first, first + data.perPage);
    const files = [...new Set(shown.map((index) => Math.floor(index / data.perFile)))];
    const name = (file) => `facts-${String(file).padStart(4, "0")}`;
    const loaded = new Map(await Promise.all(
      files.map(async (file) => [file, await load(layer, name(file))])));
    if (token !== turn) return;
    grid.replaceChildren(...shown.map((index) => {
      const unit = now.list.units[index];
      return card({
        unit,
        facts: loaded.get(Math.floor(index / data.perFile))[index % data.perFile],
        place: `layers/${layer.folder}/${unit}`,
        link: linkTo(layer, unit),
        back: linkTo(layer),
        chosen: unit === now.chosen,
        methods: data.methods,
        tile: data.tile,
      });
    }));
    say(shown.length ? "" : "No unit of this layer matches the search.");
  };

  /** Show the state in `now`; a unit to be found is shown with its page. */
  const show = async (find = null) => {
    const token = ++turn;
    const layer = data.layers[now.layer];
    try {
      const list = await load(layer, "list");
      if (token !== turn) return;
      const position = find === null ? -1 : list.units.indexOf(find);
      let order = await filtered(sorted(list), list, layer);
      if (token !== turn) return;
      if (position >= 0 && !order.includes(position)) {
        search.value = ""; // the search hides the requested unit
        order = sorted(list);
      }
      now.list = list;
      now.order = order;
      now.chosen = position >= 0 ? find : null;
      if (position >= 0) now.page = Math.floor(order.indexOf(position) / data.perPage);
      now.page = Math.min(now.page, pages() - 1);
      drawTools(layer);
      await drawCards(layer, token);
      if (token !== turn) return;
      if (find !== null && position < 0) say(`There is no unit ${find} in ${layer.label}.`);
      if (position >= 0) {
        const chosen = grid.querySelector(".chosen");
        chosen.scrollIntoView({ block: "start" });
        chosen.querySelector("h3 a").focus({ preventScroll: true });
      }
    } catch (error) {
      if (token === turn) {
        grid.replaceChildren();
        say(error.message);
      }
    }
  };

  const goTo = async () => {
    const { layer, unit } = parse(location.hash);
    const unknown = layer < 0 && location.hash.length > 1;
    if (!(unknown && now.list)) {
      const target = Math.max(layer, 0);
      if (target !== now.layer) {
        now.page = 0;
        search.value = "";
      }
      now.layer = target;
      await show(unit);
    }
    if (unknown) say("The address of this page names no layer of it.");
  };

  const turnTo = (page) => {
    if (!(page >= 0 && page < pages()) || page === now.page) return;
    now.page = page;
    history.replaceState(null, "", linkTo(data.layers[now.layer])); // no unit is chosen any more
    const tools = document.querySelector(".gallery-tools");
    if (tools.getBoundingClientRect().bottom < 0 || grid.getBoundingClientRect().top < 0) {
      byId("units").scrollIntoView({ block: "start", behavior: "instant" });
    }
    show();
  };

  // Controls ---------------------------------------------------------------------------------
  const restart = () => {
    now.page = 0;
    history.replaceState(null, "", linkTo(data.layers[now.layer]));
    show();
  };
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(restart, 120);
  });
  sort.addEventListener("change", restart);
  for (const button of document.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => turnTo(now.page + Number(button.dataset.step)));
  }
  pageField.addEventListener("change", () => {
    turnTo(Math.round(Number(pageField.value)) - 1);
    pageField.value = now.page + 1;
  });
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (busy || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) turnTo(now.page + step);
  });
  grid.addEventListener("click", (event) => {
    const sheet = event.target.closest(".sheet:not(.missing)");
    if (sheet) sheet.closest(".card").querySelector("h3 a").click();
  });
  const toggle = byId("mask-toggle");
  const showMasks = () => grid.classList.toggle("plain", !toggle.checked);
  toggle.addEventListener("change", showMasks);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address says which layer is shown
    byId("units").focus();
  });
  window.addEventListener("hashchange", goTo);
  showMasks(); // a browser may restore the switch when the page is opened again
  goTo();
})();
