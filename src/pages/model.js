// The page of a model: a topic is chosen on the map, in the table or by its number; its terms follow the slider.
const data = dataOf("data");
const percent = (share) => (100 * share).toPrecision(3) + " %";
let chosen = 0;
const showTerms = () => {
  const lambda = Number($("lambda").value);
  $("lambda-value").textContent = lambda.toFixed(1);
  const topic = data.topics[chosen];
  const rated = topic.terms.map((term, at) => {
    const weight = topic.weights[at];
    const relevance = Math.log(weight) - (1 - lambda) * Math.log(data.overall[term]);
    return { term, weight, relevance, negative: topic.negative ? topic.negative[at] : 0 };
  });
  rated.sort((a, b) => b.relevance - a.relevance || a.term - b.term);
  const shown = rated.slice(0, data.shown);
  const largest = Math.max(...shown.map((entry) => entry.weight), 1e-300);
  bars($("terms"), shown.map((entry) => {
    const lift = entry.weight / data.overall[entry.term];
    const length = (entry.negative ? -1 : 1) * entry.weight / largest;
    return [data.terms[entry.term], length, entry.weight.toPrecision(3) + ", lift " + lift.toPrecision(3)];
  }));
};
const choose = (number) => {
  chosen = Math.min(Math.max(0, Math.trunc(number) || 0), data.topics.length - 1);
  const topic = data.topics[chosen];
  $("heading").textContent = "Topic " + chosen + ": " + percent(topic.share);
  $("topic").value = chosen;
  for (const mark of document.querySelectorAll(".chosen")) mark.classList.remove("chosen");
  for (const mark of document.querySelectorAll(`[data-topic="${chosen}"]`)) {
    (mark.closest("tr") ?? mark).classList.add("chosen");
  }
  showTerms();
  if ($("labels")) {
    const shares = data.labels.map((label, at) => [label, data.prevalence[at][chosen]]);
    const largest = Math.max(...shares.map(([, share]) => share), 1e-300);
    shares.sort((a, b) => b[1] - a[1]);
    bars($("labels"), shares.slice(0, 15).map(([label, share]) => [label, share / largest, percent(share)]));
  }
  if ($("documents")) {
    bars($("documents"), topic.documents.map(([share, id, label]) => [label ? `${id} (${label})` : id, share, percent(share)]));
  }
};
$("lambda").addEventListener("input", showTerms);
$("topic").addEventListener("change", () => choose(Number($("topic").value)));
$("previous").addEventListener("click", () => choose(chosen - 1));
$("next").addEventListener("click", () => choose(chosen + 1));
onChoice("svg [data-topic]", (mark) => choose(Number(mark.dataset.topic)));
for (const button of document.querySelectorAll("td [data-topic]")) {
  button.addEventListener("click", () => {
    choose(Number(button.dataset.topic));
    $("heading").scrollIntoView({ block: "nearest" });
  });
}
if ($("label")) {
  $("label").addEventListener("change", () => {
    const label = $("label").value;
    for (const row of $("topics").tBodies[0].rows) {
      const topic = Number(row.querySelector("[data-topic]").dataset.topic);
      const share = label === "" ? data.topics[topic].share : data.prevalence[Number(label)][topic];
      row.cells[1].textContent = (100 * share).toFixed(3);
    }
  });
}
choose(0);
