/* What reports do beside showing themselves: all products can be searched and sorted, what is linked
   to is unfolded, and all of it before it is printed. */
"use strict";
{
  const PAGE_ROWS = 50;
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("products-data").textContent);
  const hours = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
  const shown = { column: "error", isFalling: true, most: PAGE_ROWS };

  /** Return how far a product moved: doubled and halved are equally far. */
  const distance = (ratio) => ratio === null ? null : Math.abs(Math.log(Math.max(ratio, 1e-9)));
  const valueOf = (column, row) => column === "movement" ? distance(data.movement[row]) : data[column][row];

  function inWords(ratio) {
    if (ratio === null) return "not compared";
    const percent = Math.round(100 * Math.abs(ratio - 1));
    return percent === 0 ? "the same" : `${percent} % ${ratio > 1 ? "more" : "fewer"} hours`;
  }

  /** Return the rows whose code contains what is searched, in the order that is asked for. */
  function found() {
    const text = at("product-search").value.trim().toLowerCase();
    const rows = [...data.code.keys()].filter((row) => data.code[row].toLowerCase().includes(text));
    const sign = shown.isFalling ? -1 : 1;
    return rows.sort((one, other) => {
      const [a, b] = [valueOf(shown.column, one), valueOf(shown.column, other)];
      if (a === null || b === null) return (a === null) - (b === null); // what nobody knows comes last
      return a === b ? one - other : sign * (a < b ? -1 : 1);
    });
  }

  function rowOf(row) {
    const error = data.error[row];
    const cells = [data.code[row], data.rows[row].toLocaleString("en"), error === null ? "not measured" : `${hours.format(error)} h`, inWords(data.movement[row]), data.remarks[row]];
    const made = document.createElement("tr");
    made.append(...cells.map((text, place) => {
      const cell = document.createElement(place ? "td" : "th");
      cell.textContent = text;
      if (!place) cell.scope = "row";
      if (place > 0 && place < 4) cell.className = "n";
      return cell;
    }));
    return made;
  }

  function show() {
    const rows = found();
    at("products-rows").replaceChildren(...rows.slice(0, shown.most).map(rowOf));
    at("products-found").textContent = `${rows.length.toLocaleString("en")} of ${data.code.length.toLocaleString("en")} products; ${Math.min(rows.length, shown.most).toLocaleString("en")} are shown.`;
    at("products-more").hidden = rows.length <= shown.most;
    for (const button of document.querySelectorAll("[data-column]")) {
      const isSorted = button.dataset.column === shown.column;
      button.closest("th").setAttribute("aria-sort", isSorted ? shown.isFalling ? "descending" : "ascending" : "none");
    }
  }

  for (const button of document.querySelectorAll("[data-column]")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const { column } = button.dataset;
      shown.isFalling = shown.column === column ? !shown.isFalling : column !== "code";
      shown.column = column;
      show();
    });
  }
  at("product-search").addEventListener("input", () => { shown.most = PAGE_ROWS; show(); });
  at("products-more").addEventListener("click", () => { shown.most *= 4; show(); });
  at("products-controls").hidden = false;
  show();

  function unfold() {
    const target = location.hash.length > 1 && at(decodeURIComponent(location.hash.slice(1)));
    const details = target && (target.querySelector("details") ?? target.closest("details"));
    if (details) details.open = true;
  }
  addEventListener("hashchange", unfold);
  unfold();
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
}
