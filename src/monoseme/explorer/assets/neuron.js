"use strict";
// The line across the tree: moved by hand, by slider or by keys; all else on the page follows what the server makes of it.
{
  const board = document.getElementById("board");
  const rule = document.getElementById("rule");
  const form = document.getElementById("controls");
  const fields = form.elements;
  const line = document.getElementById("line");
  const start = { method: fields.method.value, outlier: fields.outlier.value, granularity: fields.granularity.value, min_size: fields.min_size.value, top: fields.top.value, threshold: fields.threshold.value };
  const asked = new URLSearchParams(location.search);
  let touched = new Set([...asked.keys()]); // only what was chosen goes into the address; the rest is the bank's

  let cuts = null; // of a copy: the lines that it holds an answer for, each with its query

  const tree = () => document.querySelector("#tree svg");
  const most = () => Number(tree().dataset.most);
  const heights = () => tree().dataset.heights.split(",").filter(Boolean).map(Number).sort((a, b) => a - b);
  const threshold = () => Number(fields.threshold.value);
  const HIGH = 300 / 310; // of the picture is tree; below are the marks of the leaves

  const query = () => {
    const out = new URLSearchParams();
    const published = fields.method.value === "published";
    const values = { method: fields.method.value, threshold: published && fields.threshold.value, outlier: published && fields.outlier.value, granularity: fields.method.value === "calibrated" && fields.granularity.value, min_size: fields.min_size.value, top: fields.top.value };
    for (const [name, value] of Object.entries(values)) if (touched.has(name) && value) out.set(name, value);
    if (fields.band) out.set("band", fields.band.value);
    return out;
  };

  // --- the line
  const place = () => {
    const published = fields.method.value === "published" && fields.threshold.value !== "";
    rule.hidden = !published;
    if (!published) return;
    const share = Math.min(1, Math.max(0, 1 - threshold() / most()));
    rule.style.top = `${share * HIGH * 100}%`;
    const clusters = heights().filter((height) => height >= threshold()).length + 1;
    document.getElementById("height").textContent = `${Number(threshold().toPrecision(4))}: ${clusters} cluster${clusters === 1 ? "" : "s"}`;
    line.max = String(most());
    line.value = fields.threshold.value;
    line.setAttribute("aria-valuetext", document.getElementById("height").textContent);
  };
  const move = (value) => {
    if (root !== undefined && !cuts?.size) return;
    if (cuts) value = [...cuts.keys()].reduce((best, each) => (Math.abs(each - value) < Math.abs(best - value) ? each : best));
    fields.threshold.value = String(Number(Math.min(most(), Math.max(most() / 1e4, value)).toPrecision(7)));
    touched.add("threshold");
    if (fields.method.value !== "published") { fields.method.value = "published"; }
    touched.add("method");
    shown();
    place();
    follow();
  };
  const step = (by) => { // to the middle between the next two merges: a cluster more or fewer
    const all = heights();
    const at = all.filter((height) => height < threshold()).length + by;
    if (at < 0 || at > all.length) return;
    const low = at === 0 ? 0 : all[at - 1];
    move(at === all.length ? (low + most()) / 2 : (low + all[at]) / 2);
  };

  // --- what follows it
  let number = 0; // of requests; an answer that a later one has overtaken is dropped
  let shownNumber = 0;
  let flying = 0;
  let pending = false;
  const follow = () => {
    board.dataset.rest = "no"; // until everything shows the same choice
    if (flying >= 2) { pending = true; return; }
    pending = false;
    ask();
  };
  const ask = async () => {
    const mine = ++number;
    const wanted = query();
    flying += 1;
    board.setAttribute("aria-busy", "true");
    try {
      const parts = await take(`${here}/cut?${cuts?.get(threshold()) ?? wanted}`);
      if (mine < shownNumber) return;
      shownNumber = mine;
      put(parts);
      if (mine === number) settled(wanted);
      if (parts.waiting) setTimeout(() => { if (mine === number) ask(); }, 1200);
    } catch (error) {
      if (mine === number) told(error.message);
    } finally {
      flying -= 1;
      if (flying === 0) board.removeAttribute("aria-busy");
      if (pending) follow();
    }
  };
  const take = async (address) => {
    const text = await (await fetched(address)).text();
    const made = new DOMParser().parseFromString(text, "text/html"); // runs nothing; the server has escaped it
    const parts = { waiting: made.querySelector('template[data-part=""]')?.dataset.waiting === "yes" };
    for (const each of made.querySelectorAll("template[data-part]")) if (each.dataset.part) parts[each.dataset.part] = each.content;
    return parts;
  };
  const pictures = new Map(); // of each exemplar that was ever shown: copies and notebooks send places only
  const put = (parts) => {
    for (const each of document.querySelectorAll("#groups li[data-place] > :first-child")) pictures.set(each.parentNode.dataset.place, each);
    for (const name of ["summary", "tree", "groups", "similar"]) {
      const content = document.adoptNode(parts[name]);
      if (name === "groups") { // pictures that are there already stay as they are, decoded
        for (const each of content.querySelectorAll("li[data-place] > :first-child")) {
          const old = pictures.get(each.parentNode.dataset.place);
          if (old && old.tagName === each.tagName) each.replaceWith(old);
        }
      }
      document.getElementById(name).replaceChildren(content);
    }
    const told = tree().dataset.threshold;
    if (told && fields.threshold.value === "") fields.threshold.value = told;
    if (told && !touched.has("threshold")) fields.threshold.value = told;
    place();
  };
  const told = (text) => {
    const line = document.createElement("p");
    line.className = "error";
    line.textContent = text;
    document.getElementById("summary").replaceChildren(line);
    say(text);
  };
  let rest = null;
  let sayLater = null;
  const settled = (wanted) => { // when nothing moves any more: the address, and the charts that take longer
    clearTimeout(rest);
    rest = setTimeout(() => {
      const text = wanted.toString();
      addressed(text ? `?${text}` : location.pathname);
      charts(text);
    }, 250);
    clearTimeout(sayLater);
    sayLater = setTimeout(() => say(document.getElementById("summary").textContent), 600);
  };
  let chartsNumber = 0;
  const charts = async (text) => {
    const mine = ++chartsNumber;
    const box = document.getElementById("charts");
    box.setAttribute("aria-busy", "true");
    try {
      const parts = await take(`${here}/charts?${text}`);
      if (mine === chartsNumber) box.replaceChildren(document.adoptNode(parts.charts));
    } catch (error) {
      if (mine === chartsNumber) box.textContent = error.message;
    }
    if (mine === chartsNumber) {
      box.removeAttribute("aria-busy");
      if (flying === 0 && !pending && text === query().toString()) board.dataset.rest = "yes";
    }
  };

  // --- events
  const shown = () => {
    const method = fields.method.value;
    line.closest(".field").hidden = fields.outlier.closest(".field").hidden = method !== "published";
    fields.granularity.closest(".field").hidden = method !== "calibrated";
  };
  const heightAt = (event) => {
    const box = document.getElementById("tree").getBoundingClientRect();
    return most() * (1 - (event.clientY - box.top) / (box.height * HIGH));
  };
  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    board.setPointerCapture(event.pointerId);
    move(heightAt(event));
    if (!line.closest(".field").hidden) line.focus({ preventScroll: true });
  });
  board.addEventListener("pointermove", (event) => {
    if (board.hasPointerCapture(event.pointerId)) move(heightAt(event));
  });
  line.addEventListener("input", () => move(Number(line.value)));
  line.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  });
  form.addEventListener("input", (event) => {
    const name = event.target.name;
    if (!name || !form.checkValidity()) return;
    touched.add(name);
    if (name === "threshold") { touched.add("method"); place(); }
    if (name === "method") {
      if (event.target.value === "") touched.delete("method");
      if (!touched.has("threshold")) fields.threshold.value = start.threshold;
      shown();
      place();
    }
    follow();
  });
  document.getElementById("own").addEventListener("click", (event) => {
    if (event.currentTarget.getAttribute("href") !== "#own") return; // in a notebook there is no page to go back to
    event.preventDefault();
    touched = new Set();
    for (const [name, value] of Object.entries(start)) fields[name].value = value;
    shown();
    place();
    follow();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); follow(); });
  window.addEventListener("resize", place);

  // --- keeping it
  const keep = document.getElementById("save");
  keep?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const bar = document.getElementById("progress");
    const saved = document.getElementById("saved");
    const button = keep.querySelector("button");
    const body = { name: keep.elements.name.value };
    for (const [name, value] of query()) if (name !== "band") body[name] = ["method", "outlier"].includes(name) ? value : Number(value);
    button.disabled = true;
    try {
      const job = await followed(posted(keep.dataset.address, body), bar, saved);
      const link = document.createElement("a");
      link.href = `${job.address}/neuron/${here.split("/").pop()}`;
      link.textContent = `bank ${body.name} is written; look at it there`;
      saved.replaceChildren(link);
      say(link.textContent);
    } catch (error) {
      saved.textContent = error.message;
      say(error.message);
    }
    button.disabled = false;
  });

  if (root !== undefined) { // only the line moves, from cut to cut
    for (const each of form.elements) each.disabled = each !== line;
    kept(`${here}/cut`).then((all) => {
      cuts = new Map(Object.keys(all).map((query) => [Number(new URLSearchParams(query).get("threshold")), query]));
      if (asked.has("threshold")) move(Number(asked.get("threshold")));
      line.disabled = !cuts.size;
      board.dataset.cuts = cuts.size;
    }).catch((error) => told(error.message));
  }
  shown();
  place();
  charts(query().toString());
  if (document.getElementById("summary").dataset.waiting === "yes") setTimeout(ask, 1200);
  board.dataset.ready = "yes";
}
