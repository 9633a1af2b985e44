"use strict";
// The map: all concepts as points on a canvas, of which only those in view are drawn; where it is looked at is in the address.
{
  const { base, kind, image } = JSON.parse(document.getElementById("data").textContent);
  const frame = document.getElementById("map");
  const canvas = document.getElementById("canvas");
  const pen = canvas.getContext("2d");
  const card = document.getElementById("card");
  const form = document.getElementById("filters");
  const board = form.elements;
  const NEAR = 90; // points in view, at most, that are shown by their strongest image
  const NAMED = 7; // labels or neurons with a colour of their own
  const ROWS = 100; // of the table, before more are asked for
  const LEVELS = [0.001, 0.01, 0.05, 0.2, 1];
  const whole = { x: 0.5, y: 0.5, z: 1 };

  let all = null; // what the server says of all concepts
  let count = 0;
  let view = { ...whole };
  let groups = []; // {text, colour, shape, members, lit}, those drawn last on top
  let dyed = []; // of each concept the name of its colour
  let dimmed = []; // concepts that are not found, or of a colour that is switched off
  let off = new Set(); // names of colours that are switched off
  let chosen = new Set();
  let at = null; // the concept that is walked to
  let under = null; // the concept under the pointer
  let seen = []; // concepts in view
  let lasso = null; // screen points of the line that is being drawn
  let rows = ROWS;
  let wide = 0;
  let high = 0;

  // --- what is asked for, to and from the address
  const read = () => {
    const asked = new URLSearchParams(location.search);
    const number = (name, usual) => (Number.isFinite(parseFloat(asked.get(name))) ? parseFloat(asked.get(name)) : usual);
    view = { x: number("x", whole.x), y: number("y", whole.y), z: Math.min(4000, Math.max(0.5, number("z", whole.z))) };
    board.by.value = asked.get("by") ?? "label";
    if (!board.by.value) board.by.value = "label";
    board.find.value = asked.get("find") ?? "";
    off = new Set(asked.getAll("off"));
    chosen = new Set((asked.get("chosen") ?? "").split(/[, ]+/).filter((text) => /^\d{1,8}$/.test(text)).map(Number));
    const named = asked.get("at") ?? location.hash.slice(1);
    at = /^\d{1,8}$/.test(named) ? Number(named) : null;
  };
  const address = () => {
    const out = new URLSearchParams();
    if (board.by.value !== "label") out.set("by", board.by.value);
    if (board.find.value) out.set("find", board.find.value);
    for (const name of ["x", "y", "z"]) if (Math.abs(view[name] - whole[name]) > 1e-9) out.set(name, Number(view[name].toPrecision(6)));
    for (const name of off) out.append("off", name);
    if (at !== null) out.set("at", at);
    const numbers = [...chosen].sort((a, b) => a - b).join(",");
    if (numbers && numbers.length < 1500) out.set("chosen", numbers); // longer addresses are cut off on their way
    const text = out.toString();
    return text ? `?${text}` : location.pathname;
  };
  let later = null;
  const rest = () => { // when nothing moves any more: the address and the table
    frame.dataset.rest = "no";
    clearTimeout(later);
    later = setTimeout(() => { addressed(address()); list(); frame.dataset.rest = "yes"; }, 200);
  };

  // --- colours
  const label = (concept) => all.labels[all.label[concept]];
  const commonest = (values, text) => {
    const sizes = new Map();
    for (const value of values) sizes.set(value, (sizes.get(value) ?? 0) + 1);
    return [...sizes].filter(([value]) => text(value)).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, NAMED).map(([value]) => value);
  };
  const group = () => {
    const by = board.by.value;
    let names;
    let place;
    if (by === "p") {
      names = [...LEVELS.map((level, k) => `p ${k ? `${LEVELS[k - 1]} to ${level}` : `at most ${level}`}`), "p unknown"];
      place = (concept) => (all.p_value[concept] === null ? LEVELS.length : LEVELS.findIndex((level) => all.p_value[concept] <= level));
    } else {
      const values = by === "label" ? all.label : all.direction;
      const text = by === "label" ? (value) => all.labels[value] : (value) => `${kind} ${value}`;
      const top = commonest(values, text);
      const order = new Map(top.map((value, k) => [value, k]));
      names = [...top.map(text), "others"];
      place = (concept) => order.get(values[concept]) ?? top.length;
    }
    groups = names.map((text, k) => ({ text, colour: k === names.length - 1 ? "grey" : `${by === "p" ? "p" : "c"}${k}`, shape: by === "p" || k === names.length - 1 ? 0 : k % 3, members: [] }));
    for (let concept = 0; concept < count; concept++) groups[place(concept)].members.push(concept);
    groups = groups.filter((one) => one.members.length).reverse();
    dyed = [];
    for (const one of groups) for (const concept of one.members) dyed[concept] = one.colour;
    light();
    legend();
  };
  const light = () => {
    const words = board.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    dimmed = [];
    const texts = all.labels.map((text) => text.toLowerCase());
    const fits = (concept, word) => String(concept) === word || String(all.direction[concept]) === word || texts[all.label[concept]].includes(word);
    for (const one of groups) {
      one.lit = [];
      for (const concept of one.members) (!off.has(one.text) && words.every((word) => fits(concept, word)) ? one.lit : dimmed).push(concept);
    }
    const found = count - dimmed.length;
    document.getElementById("count").textContent = found === count ? "" : `${found.toLocaleString("en")} of ${count.toLocaleString("en")} are lit`;
  };
  const element = (tag, attributes, ...content) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...content);
    return made;
  };
  const legend = () => {
    document.getElementById("legend").replaceChildren(...[...groups].reverse().map((one) => {
      const shape = element("span", { class: `swatch shape-${one.shape} fill-${one.colour}`, "aria-hidden": "true" });
      const button = element("button", { type: "button", "aria-pressed": String(!off.has(one.text)) }, shape, ` ${one.text} `, element("span", { class: "faint" }, one.members.length.toLocaleString("en")));
      button.addEventListener("click", () => {
        if (!off.delete(one.text)) off.add(one.text);
        button.setAttribute("aria-pressed", String(!off.has(one.text)));
        light();
        again();
      });
      return element("li", {}, button);
    }));
  };
  let dyes = {};
  const dye = () => {
    const style = getComputedStyle(frame);
    const names = [...Array.from({ length: 8 }, (_, k) => `c${k}`), ...LEVELS.map((_, k) => `p${k}`), "grey", "line", "ink", "paper"];
    dyes = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  };

  // --- drawing
  const scale = () => view.z * Math.min(wide, high) * 0.94;
  const screen = (concept, s = scale()) => [(all.x[concept] - view.x) * s + wide / 2, (view.y - all.y[concept]) * s + high / 2];
  const point = (shape, x, y, r) => {
    if (shape === 0) { pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8); return; }
    const [a, b, c] = shape === 1 ? [1.35, 1.35, 1.35] : [1.3, 1, 1.3];
    pen.moveTo(x, y - r * a);
    pen.lineTo(x + r * c, shape === 1 ? y : y + r * b);
    if (shape === 1) pen.lineTo(x, y + r * a);
    pen.lineTo(x - r * c, shape === 1 ? y : y + r * b);
  };
  const pictures = new Map();
  const picture = (id) => {
    let one = pictures.get(id);
    if (!one) {
      one = new Image();
      one.decoding = "async";
      one.addEventListener("load", paint, { once: true });
      one.src = to(`/image/${id}.jpg?v=${image}`);
      pictures.set(id, one);
      if (pictures.size > 600) pictures.delete(pictures.keys().next().value);
    }
    return one;
  };
  const draw = () => {
    const s = scale();
    const r = Math.min(6, 2.2 + 0.8 * Math.log2(1 + view.z));
    const [left, top] = [wide / 2 - view.x * s, high / 2 + view.y * s];
    const { x, y } = all;
    const points = (concepts, colour, shape, size, into) => {
      pen.fillStyle = dyes[colour];
      pen.beginPath();
      for (const concept of concepts) {
        const px = left + x[concept] * s;
        const py = top - y[concept] * s;
        if (px < -9 || py < -9 || px > wide + 9 || py > high + 9) continue;
        into?.push(concept);
        point(shape, px, py, size);
      }
      pen.fill();
    };
    seen = [];
    pen.clearRect(0, 0, wide, high);
    points(dimmed, "line", 0, 1.7, null);
    for (const one of groups) points(one.lit, one.colour, one.shape, r, seen);
    if (image !== null && seen.length <= NEAR) thumbnails(s);
    for (const concept of chosen) if (concept < count) ring(concept, s, dyes.ink, 1.5);
    siblings(s);
    if (lasso) line();
  };
  const thumbnails = (s) => {
    const side = seen.length <= NEAR / 4 ? 64 : 40;
    for (const concept of [...seen.filter((each) => each !== at && each !== under), at, under]) { // those two on top
      if (concept === null || concept >= count) continue;
      const one = picture(all.image[concept]);
      if (!one.complete || !one.naturalWidth) continue;
      const [px, py] = screen(concept, s);
      const cut = Math.min(one.naturalWidth, one.naturalHeight);
      pen.fillStyle = dyes[dyed[concept]];
      pen.fillRect(px - side / 2 - 3, py - side / 2 - 3, side + 6, side + 6);
      pen.drawImage(one, (one.naturalWidth - cut) / 2, (one.naturalHeight - cut) / 2, cut, cut, px - side / 2, py - side / 2, side, side);
    }
  };
  const ring = (concept, s, colour, width) => {
    const [px, py] = screen(concept, s);
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.arc(px, py, 9, 0, 7);
    pen.stroke();
  };
  const siblings = (s) => { // the other concepts of the same neuron, tied to it
    const one = under ?? at;
    if (one === null || one >= count) return;
    const [px, py] = screen(one, s);
    pen.strokeStyle = dyes.ink;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const concept of family.get(all.direction[one]) ?? []) {
      pen.moveTo(px, py);
      pen.lineTo(...screen(concept, s));
    }
    pen.stroke();
    for (const each of new Set([at, under])) if (each !== null && each < count) ring(each, s, dyes.c1, 3);
    const text = named(one);
    pen.font = "600 13px system-ui, sans-serif";
    const long = pen.measureText(text).width + 12;
    const x = Math.max(4, Math.min(wide - long - 4, px + 12));
    const y = py < 44 ? py + 16 : py - 38;
    pen.fillStyle = dyes.paper;
    pen.fillRect(x, y, long, 22);
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, long, 22);
    pen.fillStyle = dyes.ink;
    pen.fillText(text, x + 6, y + 15);
  };
  const line = () => {
    pen.strokeStyle = dyes.ink;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 4]);
    pen.beginPath();
    lasso.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
  };
  let asked = false;
  const paint = () => {
    if (asked || !all?.x.length) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
  const again = () => { paint(); rest(); };

  // --- what is said of a concept
  let family = new Map();
  const named = (concept) => `concept ${concept}${label(concept) ? `, ${label(concept)}` : ""}`;
  const link = (concept) => element("a", { href: to(`${base}/concept/${concept}`) }, `concept ${concept}`);
  const neuron = (concept) => element("a", { href: to(`${base}/neuron/${all.direction[concept]}`) }, `${kind} ${all.direction[concept]}`);
  const figure = (value) => (value === null ? "" : value !== 0 && value < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3))));
  const show = (concept) => {
    card.hidden = concept === null || concept >= count;
    if (card.hidden || card.dataset.concept === String(concept)) return;
    card.dataset.concept = concept;
    const p = all.p_value[concept] === null ? "" : `, p ${figure(all.p_value[concept])}`;
    const more = element("p", { class: "faint" }, neuron(concept), `, ${all.size[concept]} images${p}`);
    const words = element("div", {}, element("p", {}, link(concept), label(concept) ? ` ${label(concept)}` : ""), more);
    const source = to(`/image/${all.image[concept]}.jpg?v=${image}`);
    card.replaceChildren(...(image === null ? [] : [element("img", { src: source, alt: "", width: 56, height: 56 })]), words);
  };
  const list = () => {
    const body = document.querySelector("#table tbody");
    const order = Int32Array.from(seen).sort();
    document.getElementById("seen-count").textContent = `${order.length.toLocaleString("en")} of ${count.toLocaleString("en")} concepts${order.length > rows ? `, the first ${rows}` : ""}`;
    body.replaceChildren(...[...order.subarray(0, rows)].map((concept) => element("tr", {}, element("th", { scope: "row" }, link(concept)), element("td", {}, neuron(concept)), element("td", { class: "number" }, all.size[concept]), element("td", { class: "number" }, figure(all.p_value[concept])), element("td", {}, label(concept)))));
    document.getElementById("more").hidden = order.length <= rows;
  };
  const choose = (concepts, more) => {
    if (!more) chosen = new Set();
    for (const concept of concepts) chosen.add(concept);
    told();
    again();
  };
  const told = () => {
    chosen = new Set([...chosen].filter((concept) => concept < count).sort((a, b) => a - b));
    const text = chosen.size ? chosen.size.toLocaleString("en") : "none";
    document.getElementById("chosen-count").textContent = text;
    document.getElementById("chosen").replaceChildren(...[...chosen].slice(0, 500).map((concept) => element("li", {}, link(concept), label(concept) ? ` ${label(concept)}` : "")));
    if (chosen.size > 500) document.getElementById("chosen").append(element("li", { class: "faint" }, `and ${chosen.size - 500} more, which are copied too`));
    const button = document.getElementById("copy-chosen");
    button.dataset.copy = [...chosen].join(",");
    button.disabled = document.getElementById("clear").disabled = !chosen.size;
    say(`${text} chosen`);
  };
  const go = (concept) => { // walk to it, and bring it into view
    at = concept;
    if (concept !== null) {
      const [px, py] = screen(concept);
      if (px < 20 || py < 20 || px > wide - 20 || py > high - 20) [view.x, view.y] = [all.x[concept], all.y[concept]];
      say(`${named(concept)}, ${kind} ${all.direction[concept]}`);
    }
    show(concept);
    again();
  };

  // --- moving
  const zoom = (by, [px, py] = [wide / 2, high / 2]) => {
    const before = scale();
    view.z = Math.min(4000, Math.max(0.5, view.z * by));
    const change = 1 / before - 1 / scale();
    view.x += (px - wide / 2) * change;
    view.y -= (py - high / 2) * change;
    again();
  };
  const pan = (dx, dy) => { view.x -= dx / scale(); view.y += dy / scale(); again(); };
  const nearest = ([px, py]) => {
    let [best, found] = [image !== null && seen.length <= NEAR ? 24 ** 2 : 14 ** 2, null];
    for (const concept of seen) {
      const [x, y] = screen(concept);
      const apart = (x - px) ** 2 + (y - py) ** 2;
      if (apart < best) [best, found] = [apart, concept];
    }
    return found;
  };
  const inside = ([px, py], line) => {
    let odd = false;
    for (let k = 0, last = line.length - 1; k < line.length; last = k++) {
      const [[ax, ay], [bx, by]] = [line[k], line[last]];
      if (ay > py !== by > py && px < ((bx - ax) * (py - ay)) / (by - ay) + ax) odd = !odd;
    }
    return odd;
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !all?.x.length) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    moved = 0;
    lasso = fingers.size === 1 && (event.shiftKey || board.tool.value === "lasso") ? [place(event)] : null;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!all?.x.length) return;
    const now = place(event);
    const before = fingers.get(event.pointerId);
    if (!before) { // only looked at
      const found = nearest(now);
      if (found !== under) { under = found; canvas.style.cursor = found === null ? "" : "pointer"; show(under ?? at); paint(); }
      return;
    }
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (lasso) {
      lasso.push(now);
      paint();
    } else if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, each]) => each);
      zoom(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])), other);
    } else if (moved > 3) {
      pan(now[0] - before[0], now[1] - before[1]);
    }
    fingers.set(event.pointerId, now);
  });
  const lifted = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (lasso && lasso.length > 2) {
      const line = lasso;
      lasso = null;
      choose(seen.filter((concept) => inside(screen(concept), line)), event.ctrlKey || event.metaKey);
    } else if (moved <= 3 && event.type === "pointerup") {
      go(nearest(place(event)));
    }
    lasso = null;
    paint();
  };
  canvas.addEventListener("pointerup", lifted);
  canvas.addEventListener("pointercancel", lifted);
  canvas.addEventListener("pointerleave", () => { under = null; show(at); paint(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 16 : 1) * (event.ctrlKey ? 0.01 : 0.0015)), place(event));
  }, { passive: false });
  const reset = () => { view = { ...whole }; again(); };
  const walk = (by) => {
    const order = Int32Array.from(seen).sort();
    if (!order.length) return;
    const k = order.indexOf(at);
    go(order[k < 0 ? (by > 0 ? 0 : order.length - 1) : (k + by + order.length) % order.length]);
  };
  const keys = {
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: reset, j: () => walk(1), k: () => walk(-1),
    Enter: () => { if (at !== null) location.assign(to(`${base}/concept/${at}`)); },
    c: () => { if (at !== null) { if (!chosen.delete(at)) chosen.add(at); told(); again(); } },
    v: () => choose(seen, true),
    Escape: () => { at = null; show(null); again(); },
  };
  canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!act || !all?.x.length) return;
    event.preventDefault();
    act();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !typing(event)) { event.preventDefault(); board.find.focus(); board.find.select(); }
    if (event.key === "Escape" && event.target === board.find) canvas.focus({ preventScroll: true });
  });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("zoom-all").addEventListener("click", reset);
  document.getElementById("clear").addEventListener("click", () => choose([], false));
  document.getElementById("more").addEventListener("click", () => { rows += 4 * ROWS; list(); });
  board.by.addEventListener("input", () => { off = new Set(); group(); again(); });
  board.find.addEventListener("input", () => { light(); again(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("popstate", () => { read(); if (all?.x.length) { group(); told(); show(at); again(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { dye(); paint(); });
  new ResizeObserver(() => {
    [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = wide * devicePixelRatio;
    canvas.height = high * devicePixelRatio;
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    if (all?.x.length) { draw(); rest(); }
  }).observe(canvas);

  // --- the concepts and where they lie: by what is known now, then by what is better
  const NAMES = { pca: "principal components", tsne: "t-SNE", umap: "UMAP" };
  const state = ({ layout, next, trouble }) => {
    const many = all ? `${count.toLocaleString("en")} concept${count === 1 ? "" : "s"}` : "Concepts";
    const now = layout ? `laid out by ${NAMES[layout]}` : "";
    const soon = next ? `${NAMES[next]} ${layout ? "is being computed and will take its place" : "are being computed"} ...` : "";
    document.getElementById("state").textContent = [`${many} ${now}`.trim(), soon, trouble].filter(Boolean).join("; ");
  };
  const load = async () => {
    const told_ = await (await fetched(`/api${base}/map`)).json();
    const first = !all?.x.length;
    all = told_;
    count = all.direction.length;
    state(all);
    if (all.x.length) {
      family = new Map();
      all.direction.forEach((direction, concept) => { if (!family.has(direction)) family.set(direction, []); family.get(direction).push(concept); });
      if (at !== null && at >= count) at = null;
      group();
      if (first) told();
      draw();
      if (first && at !== null) go(at);
      show(at);
      again();
      frame.dataset.layout = all.layout;
    }
    if (first && (all.x.length || !all.next)) frame.dataset.ready = "yes";
    if (all.next) setTimeout(wait, 500);
  };
  const wait = async () => {
    try {
      const now = await (await fetched(`/api${base}/map/state`)).json();
      state(now);
      if (now.layout !== all.layout || !now.next) await load();
      else setTimeout(wait, 1000);
    } catch (error) {
      document.getElementById("state").textContent = error.message;
    }
  };
  dye();
  read();
  load().catch((error) => { document.getElementById("state").textContent = error.message; });
}
