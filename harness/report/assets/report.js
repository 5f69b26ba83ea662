// Without this script every page says the same; it only sorts and narrows tables and turns light and dark around.
"use strict";

{
  const root = document.documentElement;
  const theme = document.querySelector("button.theme");
  if (theme) {
    const dark = () =>
      (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const label = () => { theme.textContent = dark() ? "Light colours" : "Dark colours"; };
    theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    theme.hidden = false;
    label();
  }

  // A cell's number, with a true minus sign, separators and an interval after it; NaN if it starts with no number.
  const numeric = (text) => parseFloat(text.trim().replace(/\u2212/g, "-").replace(/^[<+\s\u00a0]+/, "").replace(/,(?=\d{3})/g, ""));
  const text = (row, column) => (row.cells[column] ? row.cells[column].firstChild || row.cells[column] : row).textContent.trim();

  function sortable(table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const asNumbers = heading.classList.contains("num");
        const key = new Map(rows.map((row) => [row, asNumbers ? numeric(text(row, column)) : text(row, column)]));
        const sorted = [...rows].sort((one, other) => {
          const [a, b] = [key.get(one), key.get(other)];
          if (asNumbers) {
            if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // no number: last
            return down ? b - a : a - b;
          }
          return down ? b.localeCompare(a, "en") : a.localeCompare(b, "en");
        });
        body.append(...sorted);
      });
    });
  }

  function narrowable(table) {
    const box = table.closest(".scroll");
    const label = document.createElement("label");
    label.className = "narrow-rows";
    const input = document.createElement("input");
    input.type = "search";
    const count = document.createElement("output");
    label.append("Rows with ", input, " ", count);
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const content = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => content.includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
    box.before(label);
  }

  document.querySelectorAll("table.sortable").forEach((table) => {
    sortable(table);
    if (table.tBodies[0].rows.length > 8) narrowable(table);
  });
}
