const svg = document.querySelector("svg.lineage");
const boxes = new Map([...svg.querySelectorAll(".node")].map((box) => [box.dataset.n, box]));
const lines = [...svg.querySelectorAll(".edge")];

function reach(start, from, to) {
  const seen = new Set([start]);
  const waiting = [start];
  while (waiting.length) {
    const here = waiting.pop();
    for (const line of lines) {
      if (line.dataset[from] !== here) continue;
      line.classList.add("on");
      if (!seen.has(line.dataset[to])) {
        seen.add(line.dataset[to]);
        waiting.push(line.dataset[to]);
      }
    }
  }
  return seen;
}

function light(number) {
  dim();
  svg.classList.add("lit");
  for (const each of [...reach(number, "t", "s"), ...reach(number, "s", "t")]) boxes.get(each).classList.add("on");
}

function dim() {
  svg.classList.remove("lit");
  for (const each of svg.querySelectorAll(".on")) each.classList.remove("on");
}

for (const [number, box] of boxes) {
  box.addEventListener("mouseenter", () => light(number));
  box.addEventListener("mouseleave", dim);
  box.addEventListener("focus", () => light(number));
  box.addEventListener("blur", dim);
}
const root = svg.querySelector(".root");
const chart = document.querySelector(".chart");
if (root) chart.scrollLeft = root.getBoundingClientRect().right - chart.getBoundingClientRect().right + 24;
