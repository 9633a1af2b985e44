"use strict";
// A picture is sent as it is, and what was seen in it is shown; the page alone keeps it, until the next one.
{
  const { address, base, most, asked, version } = JSON.parse(document.getElementById("data").textContent);
  const drop = document.getElementById("drop");
  const file = document.getElementById("file");
  const state = document.getElementById("state");
  const seen = document.getElementById("seen");
  let number = 0; // of pictures; an answer to an earlier one is dropped

  // --- pieces
  const make = (tag, content, more = {}) => {
    const { data, ...rest } = more;
    const made = Object.assign(document.createElement(tag), rest);
    Object.assign(made.dataset, data ?? {});
    made.append(...[content].flat().filter((each) => each !== null && each !== ""));
    return made;
  };
  const link = (text, href) => make("a", text, { href });
  const percent = (share) => { // never more certain than the sample is
    const value = 100 * share;
    return value > 99.95 ? "any" : `${value > 99 ? value.toFixed(1) : value.toFixed(0)} %`;
  };
  const meter = (strength) => make("meter", [], { max: 2, low: 0.9999, high: 1, optimum: 2, value: Math.max(0, Math.min(2, strength)), ariaLabel: `strength ${strength.toFixed(2)}` });
  const map = (heat, name) => heat && make("img", [], { src: heat.picture, alt: `where ${name} is: ${heat.where}`, className: "where" });

  const card = (each, name, title, lines) =>
    make("li", [map(each.heat, name), make("div", [make("h3", title), make("p", [meter(each.strength), ` more than ${percent(each.below)} of the images`]), ...lines])], { className: "card" });
  const concept = (each) => {
    const name = `concept ${each.concept}`;
    const title = [link(name, `${base}/concept/${each.concept}`), " ", each.fires ? make("span", "fires", { className: "chip own" }) : ""];
    const level = each.level === null ? "" : `, fires from ${each.level.toPrecision(3)}`;
    const lines = [make("p", each.label, { className: "faint" }), make("p", `projection ${each.value.toPrecision(3)}${level}`, { className: "faint small" })];
    if (each.heat) lines.push(make("p", each.heat.where, { className: "faint small" }));
    return card(each, name, title, lines);
  };
  const neuron = (each) => {
    const name = `neuron ${each.neuron}`;
    const title = [each.split ? link(name, `${base}/neuron/${each.neuron}`) : name];
    const lines = [make("p", `activation ${each.value.toPrecision(3)}`, { className: "faint small" })];
    if (each.heat) lines.push(make("p", each.heat.where, { className: "faint small" }));
    return card(each, name, title, lines);
  };
  const near = (each) => {
    const words = `image ${each.image_id}: ${each.uri}${each.label ? ` (${each.label})` : ""}, cosine ${each.cosine.toFixed(2)}`;
    const picture = make("img", [], { src: `/image/${each.image_id}.jpg?v=${version}`, alt: words, title: words, loading: "lazy" });
    picture.addEventListener("error", () => picture.replaceWith(make("span", words, { className: "name" })));
    return make("li", [picture, make("span", each.cosine.toFixed(2), { className: "mark" })]);
  };
  const section = (id, heading, note, list) => make("section", [make("h2", heading), make("p", note, { className: "faint small" }), list], { id });

  const show = (found) => {
    const predicted = found.predictions.map((each) => make("li", [make("meter", [], { max: 1, value: each.probability, ariaLabel: percent(each.probability) }), " ", make("b", `${(100 * each.probability).toFixed(0)} %`), ` ${each.label}`]));
    const head = make("div", [
      make("img", [], { src: found.picture, alt: "the picture that is tried", className: "tried" }),
      make("div", [
        ...(predicted.length ? [make("h2", "What the model says"), make("ul", predicted, { className: "plain counts" })] : []),
        make("p", `Seen by ${found.model.spec} on ${found.model.device}; its weights take ${(found.model.memory / 1e6).toFixed(1)} MB.`, { className: "faint small" }),
      ]),
    ], { className: "columns" });
    const some = `${found.sample.toLocaleString("en")} images of the run`;
    const where = found.no_heat ? ` Where they are cannot be shown: ${found.no_heat}.` : " Each picture shows where it is, and is pale elsewhere.";
    seen.replaceChildren(
      head,
      section("concepts", "Concepts", `The strongest, measured against ${some}: the bar begins at the median image, and its middle is where the strongest ${(100 * found.rate).toFixed(0)} % begin.${where}`, make("ul", found.concepts.map(concept), { className: "plain cards" })),
      section("neurons", "Neurons", "The strongest, measured in the same way.", make("ul", found.neurons.map(neuron), { className: "plain cards" })),
      section("nearest", "Images of the run like it", "By the cosine of their embeddings.", make("ul", found.nearest.map(near), { className: "thumbs" })),
    );
    const expected = found.expected < 9.5 ? found.expected.toFixed(1) : Math.round(found.expected).toLocaleString("en");
    const firing = found.firing === null ? "How many concepts fire is known once the whole layer has been read ..." : `${found.firing.toLocaleString("en")} concept${found.firing === 1 ? "" : "s"} fire; in an image of the run about ${expected} do.`;
    told(firing);
    seen.dataset.ready = found.firing === null ? "soon" : "yes";
  };
  const told = (text, kind = "") => {
    state.textContent = text;
    state.className = `lead ${kind}`;
  };

  // --- sending
  const send = async (picture) => {
    const mine = ++number;
    drop.setAttribute("aria-busy", "true");
    delete seen.dataset.ready;
    try {
      if (picture.size > most) throw new Error(`the picture has ${(picture.size / 2 ** 20).toFixed(1)} MiB, more than the ${most / 2 ** 20} that can be sent; make it smaller`);
      if (!picture.size) throw new Error("the picture is empty");
      const ready = (await (await fetched(address)).json()).model.state === "ready";
      if (mine !== number) return;
      told(ready ? "Looking at it ..." : "Loading the model, which is needed once, then looking at it ...");
      const query = new URLSearchParams(asked.map((each) => ["concept", each]));
      const kind = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
      const found = await (await fetched(`${address}?${query}`, { method: "POST", headers: { "content-type": kind }, body: picture })).json();
      if (mine !== number) return;
      show(found);
      if (found.firing === null) again(picture, mine);
    } catch (error) {
      if (mine === number) {
        seen.replaceChildren();
        told(`${error.message}.`, "error");
      }
    }
    if (mine === number) drop.removeAttribute("aria-busy");
  };
  const again = async (picture, mine) => { // once levels are known
    for (let known = false; !known;) {
      await new Promise((next) => setTimeout(next, 700));
      if (mine !== number) return;
      known = (await (await fetched(address)).json()).calibrated;
    }
    if (mine === number) send(picture);
  };
  const take = (things) => {
    const picture = things?.files?.[0];
    if (picture) send(picture);
    else told("There is no picture in that; save it as a file and choose it here.", "error");
  };

  file.addEventListener("change", () => { if (file.files[0]) send(file.files[0]); });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData));
  drop.dataset.ready = "yes";
}
