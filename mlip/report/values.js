// Values of the points of plots, for fingers and keys: a tap or click shows that of the nearest point; in a plot that
// has the focus, left and right go from point to point, up and down from line to line, Escape ends it.
"use strict";
for (const values of document.querySelectorAll("figure .values")) {
  const panel = values.closest("figure > div"), lines = [...values.children].map(line => [...line.children]);
  const marks = lines.flat(), said = document.createElement("output"), reach = 28;
  let chosen = null;

  const middle = mark => {
    const box = mark.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const nearest = (among, x, y) => {
    let best = null, least = Infinity;
    for (const mark of among) {
      const [u, v] = middle(mark), far = Math.hypot(u - x, y === null ? 0 : v - y);
      if (far < least) [best, least] = [mark, far];
    }
    return [best, least];
  };

  function choose(mark) {
    if (chosen) chosen.classList.remove("chosen");
    chosen = mark;
    said.hidden = !mark;
    if (!mark) return;
    mark.classList.add("chosen");
    said.textContent = mark.textContent;
    const frame = panel.getBoundingClientRect(), [x, y] = middle(mark).map((at, k) => at - [frame.left, frame.top][k]);
    said.style.left = `${x + panel.scrollLeft}px`;
    said.style.top = `${y}px`;
    said.classList.toggle("before", x > frame.width / 2);
    said.classList.toggle("above", y > frame.height / 2);
  }

  function step(key) {
    const line = lines.findIndex(each => each.includes(chosen)), at = lines[line].indexOf(chosen);
    if (key === "ArrowLeft" || key === "ArrowRight") return lines[line][at + (key === "ArrowRight" ? 1 : -1)] || chosen;
    const next = lines[(line + (key === "ArrowDown" ? 1 : lines.length - 1)) % lines.length];
    return nearest(next, middle(chosen)[0], null)[0];
  }

  panel.addEventListener("click", event => {
    const [mark, far] = nearest(marks, event.clientX, event.clientY);
    choose(far < reach ? mark : null);
  });
  panel.addEventListener("keydown", event => {
    if (event.key === "Escape") choose(null);
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    choose(chosen ? step(event.key) : marks[0]);
    chosen.scrollIntoView({block: "nearest", inline: "nearest"});
  });
  panel.addEventListener("blur", () => choose(null));
  panel.tabIndex = 0;
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", "plot: arrow keys go from point to point");
  said.hidden = true;
  panel.append(said);
}
