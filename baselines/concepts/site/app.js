"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const [UNIT, TEXT, KIND, IOU, NOTE, MORE, PICTURE] = [0, 1, 2, 3, 4, 5, 6];
  const AT_ONCE = 120;
  const byId = (id) => document.getElementById(id);
  const layer = byId("layer"), search = byId("search"), sort = byId("sort");
  const list = byId("list"), more = byId("more"), count = byId("count");
  let shown = AT_ONCE;

  function element(tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function chosen() {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
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
    const item = element("li", row[IOU] < data.bar ? "low" : "");
    const top = element("div", "top");
    const text = element("strong", "", row[TEXT]);
    text.dir = "auto";
    top.append(text, element("span", "iou", row[NOTE] || `IoU ${row[IOU].toFixed(3)}`));
    const meter = element("div", "meter");
    const bar = element("span");
    bar.style.setProperty("width", `${Math.min(100, 100 * row[IOU])}%`);
    meter.append(bar);
    if (row[PICTURE]) {
      const image = element("img", "strip");
      image.loading = "lazy";
      image.alt = `images that activate unit ${row[UNIT]} most`;
      image.src = row[PICTURE];
      item.append(image);
    }
    item.append(top, meter, element("p", "unit", `unit ${row[UNIT]}${row[KIND] ? " · " + row[KIND] : ""}`));
    if (row[MORE].length) {
      const details = element("details");
      details.append(element("summary", "", `${row[MORE].length} more`));
      const others = element("ol");
      for (const [name, iou] of row[MORE]) others.append(element("li", "", `${name} (${iou.toFixed(3)})`));
      details.append(others);
      item.append(details);
    }
    return item;
  }

  function draw() {
    const rows = chosen();
    const above = rows.filter((row) => row[IOU] >= data.bar).length;
    count.textContent = `${rows.length} of ${data.layers[layer.value].units.length} units, ${above} with IoU from ${data.bar}`;
    list.replaceChildren(...rows.slice(0, shown).map(card));
    more.hidden = rows.length <= shown;
  }

  data.layers.forEach((one, index) => {
    const option = element("option", "", one.name);
    option.value = index;
    layer.append(option);
  });
  for (const control of [layer, search, sort]) {
    control.addEventListener("input", () => { shown = AT_ONCE; draw(); });
  }
  more.addEventListener("click", () => { shown += AT_ONCE; draw(); });
  document.querySelector("[data-needs-script]").hidden = false;
  document.querySelector("[data-without-script]").hidden = true;
  if (data.layers.length) draw();
})();
