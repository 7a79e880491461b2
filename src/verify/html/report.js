"use strict";
// Makes the report's tables sort and filter. Without it they are plain tables, worst tensors first.
for (const table of document.querySelectorAll("table[data-sorts]")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  // A cell's own order, where its text is not it; a number sorts as one, and what is no number behind all numbers.
  const value = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = (column, number, down) => (a, b) => {
    const x = value(a, column), y = value(b, column), sign = down ? -1 : 1;
    if (!number) return sign * x.localeCompare(y, "en", { numeric: true });
    const p = x === "" ? NaN : Number(x), q = y === "" ? NaN : Number(y);
    if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q);
    return p === q ? 0 : sign * (p < q ? -1 : 1);
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const down = now ? now === "ascending" : head.dataset.first === "down";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort(compare(column, head.classList.contains("number"), down));
      body.append(...rows);
    });
  });

  const tools = document.getElementById(table.dataset.sorts);
  if (!tools) continue;
  const [text, output] = [tools.querySelector("input"), tools.querySelector("output")];
  const choices = [...tools.querySelectorAll("select")];
  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const name = row.cells[0].textContent.toLowerCase();
      row.hidden = !words.every((w) => name.includes(w)) ||
        !choices.every((c) => c.value === "" || value(row, Number(c.dataset.column)) === c.value);
      shown += !row.hidden;
    }
    output.textContent = `${shown} of ${rows.length} tensors`;
  };
  for (const choice of choices) {
    const column = Number(choice.dataset.column);
    for (const one of [...new Set(rows.map((r) => value(r, column)))].sort()) choice.add(new Option(one, one));
    choice.addEventListener("change", filter);
  }
  text.addEventListener("input", filter);
  tools.hidden = false;
  filter();
}
