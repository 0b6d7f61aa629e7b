// What all pages share: tables that sort by a click or a key, and short ways to make elements.
const $ = (id) => document.getElementById(id);
const make = (name, text, parent) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
};
const dataOf = (id) => JSON.parse($(id).textContent);
const cellValue = (row, column) => {
  const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const number = Number(text.replace(/[\u2009 ,%]/g, ""));
  return text === "" || text === "-" ? NaN : Number.isNaN(number) ? text : number;
};
const compare = (a, b) => {
  const missing = [a, b].map((value) => Number.isNaN(value));
  if (missing[0] || missing[1]) return missing[0] - missing[1];
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const name = head.textContent;
    head.textContent = "";
    const button = make("button", name, head);
    button.type = "button";
    button.title = "sort by " + name;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [cellValue(row, column), row]);
      rows.sort(([a], [b]) => {
        const missing = Number.isNaN(a) || Number.isNaN(b);
        return missing || !down ? compare(a, b) : -compare(a, b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// A list of bars: [name, length from -1 to 1, what is said beside it].
const bars = (list, entries) => {
  list.replaceChildren(...entries.map(([name, length, said]) => {
    const item = document.createElement("li");
    make("b", name, item);
    const bar = make("i", undefined, make("div", undefined, item));
    bar.style.width = Math.min(100, 100 * Math.abs(length)) + "%";
    if (length < 0) bar.className = "negative";
    make("span", said, item);
    return item;
  }));
};
// Marks that answer to a click answer to Enter and Space, too.
const onChoice = (selector, choose) => {
  for (const mark of document.querySelectorAll(selector)) {
    mark.addEventListener("click", () => choose(mark));
    mark.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(mark);
      }
    });
  }
};
