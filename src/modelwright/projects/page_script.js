
"use strict";
(() => {
  const sides = [...document.querySelectorAll(".side")];
  const keysOf = (line) => line.dataset.s.split(" ");
  const holders = new Map();
  for (const line of document.querySelectorAll(".line[data-s]")) {
    for (const key of keysOf(line)) {
      if (!holders.has(key)) holders.set(key, []);
      holders.get(key).push(line);
    }
  }
  const linked = (line) => new Set(keysOf(line).flatMap((key) => holders.get(key)));
  const other = (side) => sides.find((each) => each !== side);
  const isSeen = (line) => line.offsetParent !== null;

  function mark(name, lines) {
    for (const line of document.querySelectorAll("." + name)) line.classList.remove(name);
    for (const line of lines) line.classList.add(name);
  }

  function show(line, side) {
    const fold = line.closest("details");
    if (fold) fold.open = true;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (side.scrollHeight <= side.clientHeight) return;
    const top = line.getBoundingClientRect().top - side.getBoundingClientRect().top + side.scrollTop;
    const isInView = top > side.scrollTop + 60 && top < side.scrollTop + side.clientHeight - 80;
    if (!isInView) side.scrollTo({ top: top - side.clientHeight / 3, behavior: isCalm ? "auto" : "smooth" });
  }

  function choose(line) {
    const lines = linked(line);
    mark("chosen", lines);
    for (const side of sides) {
      // What a statement says stands in the code; a value of it may stand among the parameters too.
      const here = [...lines].filter((each) => side.contains(each));
      const first = side.contains(line) ? line : here.find((each) => !each.classList.contains("parameter")) || here[0];
      if (first) show(first, side);
    }
  }

  function chosenIn(side) {
    return [...side.querySelectorAll(".line.chosen")].find(isSeen);
  }

  function step(side, by) {
    const lines = [...side.querySelectorAll(".line[data-s]")].filter(isSeen);
    const starts = lines.filter((line, place) => place === 0 || lines[place - 1].dataset.s !== line.dataset.s);
    const place = starts.indexOf(chosenIn(side));
    const next = starts[place < 0 ? 0 : place + by];
    if (next) choose(next);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const line = (link || event.target).closest(".line[data-s]");
    if (line && getSelection().isCollapsed) {
      if (link && innerWidth > 880) event.preventDefault();
      choose(line);
    } else if (link) {
      const target = document.getElementById(link.getAttribute("href").slice(1));
      const fold = target && target.closest("details");
      if (fold) fold.open = true;
    }
    const button = event.target.closest("button[data-show]");
    if (button) {
      document.body.dataset.show = button.dataset.show;
      for (const each of document.querySelectorAll("button[data-show]")) {
        each.setAttribute("aria-pressed", String(each === button));
      }
    }
  });

  document.addEventListener("mouseover", (event) => {
    const line = event.target.closest(".line[data-s]");
    mark("near", line ? linked(line) : []);
  });

  for (const side of sides) {
    side.addEventListener("keydown", (event) => {
      if (event.target !== side || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowDown" || event.key === "j") step(side, 1);
      else if (event.key === "ArrowUp" || event.key === "k") step(side, -1);
      else if (event.key === "Escape") mark("chosen", []);
      else if (event.key === "Enter" && chosenIn(other(side))) other(side).focus({ preventScroll: true });
      else return;
      event.preventDefault();
    });
  }
})();
