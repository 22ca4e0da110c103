// The list of units: layer, search, order, and how many are shown.
(() => {
  "use strict";
  const { byId, data, make, wordsIn } = page;
  const [UNIT, TEXT, KIND, IOU, NOTE, MORE, PICTURE] = [0, 1, 2, 3, 4, 5, 6];
  const AT_ONCE = 120;
  const layer = byId("layer"), search = byId("search"), sort = byId("sort");
  const list = byId("list"), more = byId("more"), count = byId("count");
  let shown = AT_ONCE;

  function chosen() {
    const words = wordsIn(search);
    const units = data.layers[layer.value].units.filter((row) => {
      const text = `${row[TEXT]} ${row[KIND]} ${row[NOTE]}`.toLowerCase();
      return words.every((word) => text.includes(word) || word === String(row[UNIT]));
    });
    const orders = {
      iou: (a, b) => b[IOU] - a[IOU] || a[UNIT] - b[UNIT],
      unit: (a, b) => a[UNIT] - b[UNIT],
      text: (a, b) => a[TEXT].localeCompare(b[TEXT]) || b[IOU] - a[IOU],
    };
    return units.sort(orders[sort.value]);
  }

  function card(row) {
    const bar = make("span");
    bar.style.setProperty("width", `${Math.min(100, 100 * row[IOU])}%`);
    const others = row[MORE].map(([name, iou]) => make("li", {}, `${name} (${iou.toFixed(3)})`));
    return make("li", { class: row[IOU] < data.bar ? "low" : null },
      row[PICTURE] === "" ? null : make("img", {
        class: "strip", loading: "lazy", src: row[PICTURE],
        alt: `images that activate unit ${row[UNIT]} most`,
      }),
      make("div", { class: "top" },
        make("strong", { dir: "auto" }, row[TEXT]),
        make("span", { class: "iou" }, row[NOTE] || `IoU ${row[IOU].toFixed(3)}`)),
      make("div", { class: "meter" }, bar),
      make("p", { class: "unit" }, `unit ${row[UNIT]}${row[KIND] ? ` · ${row[KIND]}` : ""}`),
      others.length
        ? make("details", {}, make("summary", {}, `${others.length} more`), make("ol", {}, ...others))
        : null);
  }

  function draw() {
    const rows = chosen();
    const above = rows.filter((row) => row[IOU] >= data.bar).length;
    count.textContent = `${rows.length} of ${data.layers[layer.value].units.length} units, ${above} with IoU from ${data.bar}`;
    list.replaceChildren(...rows.slice(0, shown).map(card));
    more.hidden = rows.length <= shown;
  }

  data.layers.forEach(({ name }, index) => layer.add(new Option(name, String(index))));
  for (const control of [layer, search, sort]) {
    control.addEventListener("input", () => { shown = AT_ONCE; draw(); });
  }
  more.addEventListener("click", () => { shown += AT_ONCE; draw(); });
  if (data.layers.length) draw();
})();
