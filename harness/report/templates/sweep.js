"use strict";
/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: [place, name, then for production and each debug kernel null or [verdict, reason, seconds, folder]] */
const rows = JSON.parse(document.getElementById("data").textContent);
const body = document.querySelector("#rows tbody");
const search = document.getElementById("search");
const kernel = document.getElementById("kernel");
const boxes = [...document.querySelectorAll("#filters input")];
const PAGE = 200;
let limit = PAGE;
let order = { column: "place", down: false };

function cell(row, number) {
  return row[2 + Number(number)];
}

function key(row) {
  const found = order.column === "place" ? null : cell(row, order.column);
  return found ? found[0] + "\u0000" + row[0] : row[0];
}

function chosen() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  return rows.filter((row) => {
    const found = cell(row, kernel.value);
    if (!found || !verdicts.has(found[0])) return false;
    const text = (row[0] + " " + row[1] + " " + found[1]).toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function add(parent, name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}

function show() {
  const found = chosen();
  const sign = order.down ? -1 : 1;
  found.sort((one, other) => (key(one) < key(other) ? -sign : key(one) > key(other) ? sign : 0));
  body.replaceChildren();
  for (const row of found.slice(0, limit)) {
    const line = add(body, "tr");
    add(add(line, "td"), "code", row[0]);
    for (let number = 0; number < row.length - 2; number++) {
      const place = add(line, "td");
      const here = row[2 + number];
      if (!here) continue;
      const chip = add(place, here[3] ? "a" : "span", here[0], "v " + here[0]);
      if (here[3]) chip.href = "./" + here[3].split("/").map(encodeURIComponent).join("/") + "/";
      chip.title = here[2] + " s";
    }
    add(line, "td", cell(row, kernel.value)[1]);
  }
  document.getElementById("shown").textContent = found.length + " of " + rows.length + " modules";
  document.getElementById("more").hidden = found.length <= limit;
}

function changed() {
  limit = PAGE;
  show();
}

search.addEventListener("input", changed);
kernel.addEventListener("change", changed);
for (const box of boxes) box.addEventListener("change", changed);
for (const button of document.querySelectorAll("#rows th button")) {
  button.addEventListener("click", () => {
    const column = button.dataset.column;
    order = { column, down: order.column === column && !order.down };
    show();
  });
}
document.getElementById("more").addEventListener("click", () => {
  limit += 5 * PAGE;
  show();
});
show();
