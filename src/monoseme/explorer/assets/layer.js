"use strict";
// The table of a layer: only the rows that can be seen are in the page; what is shown is in the address.
{
  const { base, kind, image, columns, said } = JSON.parse(document.getElementById("data").textContent);
  const frame = document.getElementById("rows");
  const table = document.getElementById("directions");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const keys = heads.map((head) => head.dataset.key).filter(Boolean);
  const filters = document.getElementById("filters");
  const fields = ["q", "label", "p", "several", "said"].filter((name) => filters.elements[name]);
  const count = document.getElementById("count");
  const texts = columns.groups.map((groups) => groups.flatMap(([concept, , label]) => [label, said[concept]?.[0] ?? "", ...(said[concept]?.[2] ?? [])]).join("\n").toLowerCase());
  const total = columns.direction.length;
  const whole = `${total.toLocaleString("en")} ${kind}${total === 1 ? "" : "s"}`;
  const AROUND = 6; // rows above and below those that can be seen
  const SHOWN = 6; // concepts of a row, at most

  let order = [];
  let active = null; // the direction that is walked to
  let live = new Map();

  // --- what is asked for, to and from the address
  const state = () => {
    const asked = new URLSearchParams(location.search);
    return {
      q: asked.get("q") ?? "", label: asked.get("label") ?? "", p: asked.get("p") ?? "",
      several: asked.get("several") === "1", said: asked.get("said") ?? "", sort: asked.get("sort") ?? "direction", at: asked.get("at"),
    };
  };
  const address = (now) => {
    const asked = new URLSearchParams();
    for (const name of ["q", "label", "p", "said"]) if (now[name]) asked.set(name, now[name]);
    if (now.several) asked.set("several", "1");
    if (now.sort !== "direction") asked.set("sort", now.sort);
    if (active !== null) asked.set("at", active);
    const text = asked.toString();
    return text ? `?${text}` : location.pathname;
  };
  let now = state();

  // --- which rows, in which order
  const fits = { // what people say of the concepts of a row
    named: (all) => all.some(([, by]) => by === "person"),
    unnamed: (all) => all.some(([, by]) => by !== "person"),
    tagged: (all) => all.some(([, , tags]) => tags.length),
    rejected: (all) => all.some(([, , , rejected]) => rejected),
    kept: (all) => !all.some(([, , , rejected]) => rejected),
  };
  const marked = (wanted, row) => {
    const all = columns.groups[row].map(([concept]) => said[concept] ?? ["", "label", [], false]);
    return wanted.startsWith("tag:") ? all.some(([, , tags]) => tags.includes(wanted.slice(4))) : fits[wanted](all);
  };
  const number = (value) => (Number.isFinite(value) ? value : NaN);
  const select = () => {
    const words = now.q.toLowerCase().split(/\s+/).filter(Boolean);
    const label = now.label.trim().toLowerCase();
    const limit = now.p === "" ? null : Number(now.p);
    order = [];
    for (let row = 0; row < total; row++) {
      if (now.several && columns.concepts[row] < 2) continue;
      if (limit !== null && !(columns.p_value[row] !== null && columns.p_value[row] <= limit)) continue;
      if (now.said && !marked(now.said, row)) continue;
      if (label && !texts[row].includes(label)) continue;
      const own = String(columns.direction[row]);
      // a number is a direction, or a label that is a number
      if (words.every((word) => own === word || (/^\d+$/.test(word) ? texts[row].split("\n").includes(word) : texts[row].includes(word)))) order.push(row);
    }
    const down = now.sort.startsWith("-");
    const key = now.sort.replace(/^-/, "");
    const values = columns[keys.includes(key) ? key : "direction"];
    order.sort((a, b) => {
      const [x, y] = [number(values[a]), number(values[b])];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b; // unknown ones last
      return (down ? y - x : x - y) || a - b;
    });
    for (const head of heads) {
      if (head.dataset.key) head.setAttribute("aria-sort", head.dataset.key === key ? (down ? "descending" : "ascending") : "none");
    }
    count.textContent = order.length === total ? whole : `${order.length.toLocaleString("en")} of ${whole}`;
    table.setAttribute("aria-rowcount", order.length + 1);
  };

  // --- drawing
  const element = (tag, attributes, ...content) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...content);
    return made;
  };
  const figure = (value) => {
    if (value === null) return "";
    if (Number.isInteger(value)) return String(value);
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
    return Math.abs(value) < 1000 ? String(Number(value.toPrecision(3))) : Math.round(value).toLocaleString("en");
  };
  const strip = ([concept, size, label, ids]) => {
    const [name, by, tags, rejected] = said[concept] ?? ["", "label", [], false];
    const words = [`concept ${concept}`, `${size} images`, name, label, ...tags.map((tag) => `tag ${tag}`), rejected && "rejected"].filter(Boolean).join(", ");
    const text = element("span", { class: `label ${by}` }, name || label || `concept ${concept}`, ...tags.map((tag) => ` · ${tag}`));
    const pictures = image === null ? [] : ids.map((id) => element("img", { src: to(`/image/${id}.jpg?v=${image}`), alt: "", width: 40, height: 40, loading: "lazy", decoding: "async" }));
    const line = element("span", { class: "line" }, ...pictures);
    return element("a", { href: to(`${base}/concept/${concept}`), title: words, "aria-label": words, class: rejected ? "strip rejected" : "strip" }, line, text);
  };
  const row = (place) => {
    const at = order[place];
    const own = columns.direction[at];
    const cells = keys.map((key) =>
      key === "direction"
        ? element("th", { scope: "row", role: "rowheader", class: "number" }, element("a", { href: to(`${base}/neuron/${own}`) }, String(own)))
        : element("td", { role: "cell", class: `number ${key}`, "data-name": heads[keys.indexOf(key)].textContent }, figure(columns[key][at])));
    const groups = columns.groups[at];
    const more = groups.length > SHOWN ? [element("span", { class: "faint" }, `and ${groups.length - SHOWN} more`)] : [];
    cells.push(element("td", { role: "cell", class: "strips" }, element("div", {}, ...groups.slice(0, SHOWN).map(strip), ...more)));
    return element("tr", { role: "row", "aria-rowindex": place + 2, "data-direction": own }, ...cells);
  };
  const spacer = () => {
    const made = element("tr", { "aria-hidden": "true", role: "presentation", class: "spacer" }, element("td", { colspan: keys.length + 1 }));
    return made;
  };
  const above = spacer();
  const below = spacer();
  const high = () => parseFloat(getComputedStyle(frame).getPropertyValue("--row")) || 64;

  const draw = (anew = false) => {
    const each = high();
    const first = Math.max(0, Math.floor(frame.scrollTop / each) - AROUND);
    const last = Math.min(order.length, Math.ceil((frame.scrollTop + frame.clientHeight) / each) + AROUND);
    const before = anew ? new Map() : live;
    live = new Map();
    for (let place = first; place < last; place++) live.set(place, before.get(place) ?? row(place));
    above.firstChild.style.height = `${first * each}px`;
    below.firstChild.style.height = `${(order.length - last) * each}px`;
    const wanted = [above, ...live.values(), below];
    if (anew) {
      body.replaceChildren(...wanted);
    } else {
      const keep = new Set(wanted);
      for (const old of [...body.children]) if (!keep.has(old)) old.remove();
      let next = body.firstChild;
      for (const one of wanted) {
        if (one === next) next = next.nextSibling;
        else body.insertBefore(one, next);
      }
    }
    for (const one of live.values()) {
      if (String(active) === one.dataset.direction) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
  };
  const show = (place) => {
    const each = high();
    const head = table.tHead.offsetHeight;
    const room = frame.clientHeight - head;
    if (place * each < frame.scrollTop) frame.scrollTop = place * each;
    else if ((place + 1) * each > frame.scrollTop + room) frame.scrollTop = (place + 1) * each - room;
  };
  const settle = (keepPlace = false) => {
    select();
    if (!keepPlace) frame.scrollTop = 0;
    const place = order.findIndex((at) => String(columns.direction[at]) === String(active));
    if (place < 0) active = null;
    draw(true);
    if (place >= 0) {
      show(place);
      draw();
    }
  };

  // --- events
  const read = () => {
    for (const name of fields) now[name] = name === "several" ? filters.elements[name].checked : filters.elements[name].value;
  };
  const write = () => {
    for (const name of fields) {
      if (name === "several") filters.elements[name].checked = now.several;
      else filters.elements[name].value = now[name];
      if (name === "said") now.said = filters.elements.said.value; // a tag that is nobody's any more
    }
  };
  let later = null; // browsers refuse more than some hundred changes of the address in half a minute
  const remember = () => {
    clearTimeout(later);
    later = setTimeout(() => addressed(address(now)), 200);
  };
  const flush = () => {
    clearTimeout(later);
    addressed(address(now));
  };
  filters.addEventListener("input", (event) => {
    if (["checkbox", "select-one"].includes(event.target.type)) { // a step that the back button undoes; letters of a search are none
      flush();
      read();
      addressed(address(now), true);
    } else {
      read();
      remember();
    }
    settle();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  for (const head of heads) {
    head.querySelector("button")?.addEventListener("click", () => {
      flush();
      now.sort = now.sort === head.dataset.key ? `-${head.dataset.key}` : head.dataset.key;
      addressed(address(now), true);
      settle();
    });
  }
  window.addEventListener("popstate", () => {
    now = state();
    active = now.at;
    write();
    settle();
  });
  let asked = false;
  frame.addEventListener("scroll", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }, { passive: true });
  new ResizeObserver(() => draw()).observe(frame);
  body.addEventListener("click", (event) => {
    const one = event.target.closest("tr[data-direction]");
    if (!one) return;
    active = one.dataset.direction;
    flush(); // so that the way back leads to this row
    draw();
    if (!event.target.closest("a") && !String(getSelection())) location.assign(to(`${base}/neuron/${active}`));
  });
  const walk = (by) => {
    const place = order.findIndex((at) => String(columns.direction[at]) === String(active));
    const next = Math.min(order.length - 1, Math.max(0, place + by));
    if (!order.length) return;
    active = columns.direction[order[next]];
    show(next);
    draw();
    remember();
    say(`${kind} ${active}, ${columns.concepts[order[next]]} concepts`);
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches("input")) { event.target.blur(); frame.focus({ preventScroll: true }); return; }
    if (typing(event)) return;
    if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "Enter" && active !== null && !event.target.closest("a, button, summary")) { flush(); location.assign(to(`${base}/neuron/${active}`)); }
    else if (event.key === "/") { event.preventDefault(); filters.elements.q.focus(); filters.elements.q.select(); }
  });
  document.getElementById("about").addEventListener("toggle", async () => {
    const place = document.getElementById("figures");
    if (!place || place.childElementCount) return;
    place.textContent = "reading the figures ...";
    try {
      place.innerHTML = await (await fetched(place.dataset.address)).text(); // our own page, escaped by the server
    } catch (error) {
      place.textContent = error.message;
    }
  });

  active = now.at;
  write();
  settle();
  frame.dataset.ready = "yes";
}
