"use strict";
// What people say of a concept, kept without leaving the page; and parts of the page that take longer.
{
  const form = document.getElementById("mark");
  const fields = form.elements;
  const output = document.getElementById("kept");
  const listed = (text) => [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
  const stated = () => ({ name: fields.name.value.trim(), tags: listed(fields.tags.value), note: fields.note.value.trim(), rejected: fields.rejected.checked });
  const changed = () => Object.fromEntries(Object.entries(stated()).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(known[name])));
  let known = stated();

  const chip = (text, kind) => {
    const made = document.createElement("span");
    made.className = kind;
    made.textContent = text;
    return made;
  };
  const show = ({ name, annotation }) => {
    fields.name.value = annotation.name;
    fields.tags.value = annotation.tags.join(", ");
    fields.note.value = annotation.note;
    fields.rejected.checked = annotation.rejected;
    known = stated();
    const called = document.getElementById("called");
    called.textContent = name.text;
    called.className = { person: "called", automatic: "called automatic", label: "faint" }[name.by];
    called.title = name.detail;
    document.getElementById("worth").textContent = name.detail && `; ${name.detail}`;
    const chips = annotation.tags.map((tag) => chip(tag, "tag"));
    if (annotation.rejected) chips.unshift(chip("rejected", "tag rejected"));
    document.getElementById("marks").replaceChildren(...chips.flatMap((each) => [each, " "]));
  };
  const told = (text, wrong = false) => {
    output.textContent = text;
    output.className = wrong ? "error" : "";
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = changed();
    if (!Object.keys(body).length) return told("nothing has changed");
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    try {
      const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      show(await (await fetched(form.dataset.address, options)).json());
      told("kept");
    } catch (error) {
      told(error.message, true);
    }
    button.disabled = false;
  });
  form.addEventListener("input", () => told(""));
  form.addEventListener("click", (event) => {
    const tag = event.target.dataset.tag;
    if (!tag) return;
    const tags = listed(fields.tags.value);
    fields.tags.value = (tags.includes(tag) ? tags.filter((each) => each !== tag) : [...tags, tag]).join(", ");
    told("");
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) form.requestSubmit();
    if (event.key === "Escape") event.target.blur();
  });
  document.addEventListener("keydown", (event) => {
    if (typing(event) || event.shiftKey || !form.querySelector("button[type=submit]")) return;
    if (event.key === "n") {
      event.preventDefault();
      fields.name.focus();
      fields.name.select();
    } else if (event.key === "x") {
      fields.rejected.checked = !fields.rejected.checked;
      form.requestSubmit();
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (Object.keys(changed()).length) event.preventDefault(); // the browser asks whether to leave
  });

  for (const place of document.querySelectorAll("[data-part-from]")) {
    fetched(place.dataset.partFrom)
      .then((answer) => answer.text())
      .then((text) => { place.innerHTML = text; }, (error) => { place.textContent = error.message; }) // our own, escaped by the server
      .then(() => { place.removeAttribute("aria-busy"); place.dataset.there = "yes"; });
  }
  form.dataset.ready = "yes";
}
