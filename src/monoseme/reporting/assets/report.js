"use strict";
(() => {
  const table = document.getElementById("directions");
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const whole = count.textContent;

  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent;
    const text = cell.dataset.value ?? cell.textContent;
    return text === "" ? NaN : Number(text);
  };

  const sort = (column) => {
    const head = heads[column];
    const numeric = head.dataset.kind === "number";
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = rows.map((row) => [value(row, column, numeric), row]);
    keyed.sort(([a], [b]) => {
      if (numeric && (Number.isNaN(a) || Number.isNaN(b))) return Number.isNaN(a) - Number.isNaN(b); // unknown ones last
      const order = numeric ? a - b : a.localeCompare(b);
      return up ? order : -order;
    });
    body.append(...keyed.map(([, row]) => row));
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));

  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const first = row.cells[0].textContent;
      const text = row.textContent.toLowerCase();
      // a number is a neuron, not a part of some figure
      row.hidden = !words.every((word) => (/^\d+$/.test(word) ? first === word : text.includes(word)));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown.toLocaleString("en")} of ${whole}` : whole;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    }
  });
})();
