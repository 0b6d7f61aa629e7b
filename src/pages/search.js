// The page of a search: a candidate that is chosen anywhere is marked everywhere.
const choose = (number) => {
  for (const mark of document.querySelectorAll(".chosen")) mark.classList.remove("chosen");
  for (const mark of document.querySelectorAll(`[data-candidate="${number}"]`)) {
    (mark.closest("tr") ?? mark).classList.add("chosen");
    if (mark.localName === "polyline") mark.parentNode.append(mark);
  }
  const row = [...$("candidates").tHead.rows[0].cells].map((head, at) => [head.textContent, at]);
  const chosen = $("candidates").querySelector("tr.chosen");
  if (chosen) {
    $("chosen").textContent = row.map(([head, at]) => head + " " + chosen.cells[at].textContent).join(", ");
  }
};
onChoice("svg [data-candidate]", (mark) => choose(mark.dataset.candidate));
for (const button of document.querySelectorAll("td [data-candidate]")) {
  button.addEventListener("click", () => choose(button.dataset.candidate));
}
