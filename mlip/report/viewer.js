// A structure in three dimensions on a canvas: drag turns, wheel or two fingers zoom, the pointer asks an atom.
"use strict";
for (const root of document.querySelectorAll(".viewer")) {
  const scene = JSON.parse(root.querySelector("script").textContent);
  const canvas = root.querySelector("canvas"), paper = canvas.getContext("2d");
  const slider = root.querySelector("input"), choice = root.querySelector("select"), said = root.querySelector("output");
  const count = scene.symbols.length, fingers = new Map(), ball = {}, bonded = {};
  let turn = [[0.914, -0.407, 0], [0.098, 0.221, 0.97], [-0.395, -0.886, 0.242]], zoom = 1, shown = [], chosen = -1, waiting = false;

  const frame = () => Number(slider.value);
  const place = (at, atom) => [0, 1, 2].map(axis => scene.positions[at][3 * atom + axis] / scene.scale);
  const rotate = point => turn.map(row => row[0] * point[0] + row[1] * point[1] + row[2] * point[2]);
  const minus = (a, b) => a.map((value, axis) => value - b[axis]);
  const middle = at => [0, 1, 2].map(axis => (scene.cells[at][0][axis] + scene.cells[at][1][axis] + scene.cells[at][2][axis]) / 2);
  const corner = (cell, bits) => [0, 1, 2].map(k => [0, 1, 2].reduce((sum, axis) => sum + (bits >> axis & 1) * cell[axis][k], 0));
  const reach = Math.max(...scene.cells.flatMap((cell, at) => [...Array(8).keys()].map(bits => Math.hypot(...minus(corner(cell, bits), middle(at))))));

  function bonds(at) {  // atom -> atoms it is bonded to, found once a frame
    if (bonded[at]) return bonded[at];
    const found = bonded[at] = Array.from({length: count}, () => []);
    const able = [...Array(count).keys()].filter(atom => scene.bonded.includes(scene.symbols[atom]));
    const places = able.map(atom => place(at, atom));
    for (let i = 0; i < able.length; i++) for (let j = 0; j < i; j++) {
      const longest = scene.contact * (scene.radii[scene.symbols[able[i]]] + scene.radii[scene.symbols[able[j]]]);
      if (Math.hypot(...minus(places[i], places[j])) < longest) {
        found[able[i]].push(able[j]);
        found[able[j]].push(able[i]);
      }
    }
    return found;
  }

  function color(at, atom) {
    if (choice.value === "element") return scene.colors[scene.symbols[atom]];
    const [low, high] = scene.values[choice.value].range;
    const part = high > low ? (scene.values[choice.value].frames[at][atom] - low) / (high - low) : 0;
    return `hsl(${250 - 210 * Math.min(Math.max(part, 0), 1)} 75% 55%)`;
  }

  function sphere(shade) {  // drawn once for each colour, then copied
    if (ball[shade]) return ball[shade];
    const picture = document.createElement("canvas");
    picture.width = picture.height = 64;
    const pen = picture.getContext("2d"), light = pen.createRadialGradient(24, 22, 3, 32, 32, 32);
    pen.fillStyle = shade;
    pen.arc(32, 32, 31, 0, 7);
    pen.fill();
    light.addColorStop(0, "rgba(255,255,255,.6)");
    light.addColorStop(0.45, "rgba(255,255,255,0)");
    light.addColorStop(1, "rgba(0,0,0,.45)");
    pen.fillStyle = light;
    pen.fill();
    return ball[shade] = picture;
  }

  function edges(at, project) {
    paper.strokeStyle = getComputedStyle(root).color;
    paper.globalAlpha = 0.45;
    paper.beginPath();
    for (let axis = 0; axis < 3; axis++) for (const first of [0, 1]) for (const second of [0, 1]) {
      const [b, c] = [0, 1, 2].filter(other => other !== axis).map(other => scene.cells[at][other]);
      const start = b.map((value, k) => first * value + second * c[k]);
      const end = start.map((value, k) => value + scene.cells[at][axis][k]);
      const [x, y] = project(start), [u, v] = project(end);
      paper.moveTo(x, y);
      paper.lineTo(u, v);
    }
    paper.stroke();
    paper.globalAlpha = 1;
  }

  function link(near, far, unit) {
    const [dx, dy] = [near.x - far.x, near.y - far.y], start = 0.6 * far.radius / (Math.hypot(dx, dy) || 1);
    paper.strokeStyle = "#9aa3b0";
    paper.lineWidth = 0.28 * unit;
    paper.beginPath();
    paper.moveTo(far.x + start * dx, far.y + start * dy);
    paper.lineTo(near.x, near.y);
    paper.stroke();
    paper.lineWidth = 1;
  }

  function draw() {
    waiting = false;
    const width = canvas.clientWidth, height = canvas.clientHeight, dense = window.devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    paper.setTransform(dense, 0, 0, dense, 0, 0);
    const at = frame(), centre = middle(at), unit = 0.5 * Math.min(width, height) * zoom / reach;
    const project = point => {
      const [x, y, z] = rotate(minus(point, centre)), near = 1 / (1 - z / (5 * reach));
      return [width / 2 + unit * near * x, height / 2 - unit * near * y, z, unit * near];
    };
    edges(at, project);
    shown = [];
    for (let atom = 0; atom < count; atom++) {
      const [x, y, z, size] = project(place(at, atom));
      shown.push({atom, x, y, z, radius: size * scene.radii[scene.symbols[atom]]});
    }
    shown.sort((a, b) => a.z - b.z);
    const links = bonds(at), drawn = {};
    for (const each of shown) {
      for (const other of links[each.atom]) if (drawn[other]) link(each, drawn[other], unit);
      drawn[each.atom] = each;
      const wide = 2 * each.radius;
      paper.drawImage(sphere(color(at, each.atom)), each.x - each.radius, each.y - each.radius, wide, wide);
      if (each.atom !== chosen) continue;
      paper.strokeStyle = getComputedStyle(root).color;
      paper.lineWidth = 2;
      paper.beginPath();
      paper.arc(each.x, each.y, each.radius + 2, 0, 7);
      paper.stroke();
      paper.lineWidth = 1;
    }
    tell();
  }

  function tell() {
    const at = frame(), words = [scene.labels[at]];
    if (chosen >= 0) {
      words.push(`${scene.symbols[chosen]}, atom ${chosen}`, `(${place(at, chosen).map(x => x.toFixed(2)).join(", ")}) Å`);
      for (const [name, value] of Object.entries(scene.values)) words.push(`${name} ${value.frames[at][chosen]}${value.unit}`);
    } else if (choice.value !== "element") {
      words.push(`${choice.value} from ${scene.values[choice.value].range.join(" (blue) to ")}${scene.values[choice.value].unit} (yellow)`);
    }
    said.textContent = words.join(" · ");
  }

  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  function spin(dx, dy) {
    const [c, s, d, t] = [Math.cos(dx), Math.sin(dx), Math.cos(dy), Math.sin(dy)];
    const [x, y, z] = turn, across = x.map((value, k) => c * value + s * z[k]), deep = z.map((value, k) => c * value - s * x[k]);
    turn = [across, y.map((value, k) => d * value - t * deep[k]), y.map((value, k) => t * value + d * deep[k])];
  }

  function pick(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const hit = shown.filter(each => Math.hypot(each.x - x, each.y - y) < each.radius).pop();
    chosen = hit ? hit.atom : -1;
    tell();
  }

  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    pick(event);
    redraw();
  });
  canvas.addEventListener("pointermove", event => {
    const last = fingers.get(event.pointerId), before = fingers.size === 2 ? apart() : 0;
    if (last) fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (last && fingers.size === 1) spin((event.clientX - last[0]) / 150, (event.clientY - last[1]) / 150);
    else if (before) zoom = Math.min(Math.max(zoom * apart() / before, 0.3), 12);
    else pick(event);
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, event => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    zoom = Math.min(Math.max(zoom * Math.exp(-event.deltaY / 800), 0.3), 12);
    redraw();
  }, {passive: false});
  slider.addEventListener("input", redraw);
  choice.addEventListener("change", redraw);
  window.addEventListener("resize", redraw);
  draw();
}
