"use strict";
// A study: beginning, answering with mouse or keys, and the time from the pictures' being there to the answer.
{
  const send = async (address, body) => {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return (await fetched(address, options)).json();
  };
  const wrong = (error) => {
    document.getElementById("wrong").textContent = error.message === "Failed to fetch" ? "there is no connection; try again" : error.message;
    say(error.message);
  };

  const begin = document.getElementById("begin");
  if (begin) {
    const key = begin.dataset.address;
    let known = null;
    try { known = localStorage.getItem(key); } catch { /* not allowed to remember */ }
    const link = document.getElementById("go-on");
    if (known?.startsWith(`${key}/`)) {
      link.href = known;
      link.hidden = false;
      begin.textContent = "I take part for the first time";
    }
    begin.addEventListener("click", async () => {
      begin.disabled = true;
      try {
        const { address } = await send(key, {});
        try { localStorage.setItem(key, address.slice(0, address.lastIndexOf("/"))); } catch { /* as above */ }
        location.assign(address);
      } catch (error) {
        wrong(error);
        begin.disabled = false;
      }
    });
  }

  const form = document.getElementById("question");
  if (form) {
    const next = document.getElementById("next");
    const unsure = document.getElementById("unsure");
    const boxes = [...form.querySelectorAll("input[type=radio]")];
    const word = document.getElementById("word");
    let since = performance.now();
    let busy = false;

    const chosen = () => boxes.find((box) => box.checked);
    const change = () => { next.disabled = busy || !(word ? word.value.trim() : chosen()); };
    const give = async (answer) => {
      if (busy) return;
      busy = true;
      change();
      unsure.disabled = true;
      try {
        const { address } = await send(form.dataset.address, { ...answer, seconds: Math.min((performance.now() - since) / 1000, 86400) });
        location.assign(address);
      } catch (error) {
        if (error.status === 409) { location.assign(form.dataset.onward); return; }
        wrong(error);
        busy = false;
        unsure.disabled = false;
        change();
      }
    };

    form.addEventListener("input", change);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!next.disabled) give(word ? { word: word.value.trim() } : { choice: Number(chosen().value) });
    });
    unsure.addEventListener("click", () => give({}));
    document.addEventListener("keydown", (event) => {
      if (typing(event) && !event.target.matches("input[type=radio]")) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "0") { event.preventDefault(); give({}); }
      const box = /^[1-9]$/.test(event.key) && boxes[Number(event.key) - 1];
      if (box) { event.preventDefault(); box.checked = true; box.focus(); change(); }
      if (event.key === "Enter" && !event.target.matches("a, button")) { event.preventDefault(); form.requestSubmit(); }
    });
    change();
    const pictures = [...form.querySelectorAll("img")];
    Promise.all(pictures.map((one) => one.decode().catch(() => {}))).then(() => {
      since = performance.now();
      word?.focus();
      form.dataset.ready = "yes";
    });
  }

  const draw = document.getElementById("draw");
  draw?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = draw.querySelector("button");
    const said = document.getElementById("drawn");
    const given = Object.fromEntries(new FormData(draw));
    for (const name of ["concepts", "controls", "shown", "seed"]) given[name] = Number(given[name]);
    button.disabled = true;
    said.textContent = "drawing ...";
    try {
      const made = await send("/api/studies", { ...given, ...JSON.parse(given.bank) });
      location.assign(`/studies/${made.name}`);
    } catch (error) {
      said.textContent = error.message;
      say(error.message);
      button.disabled = false;
    }
  });
}
