"use strict";
// Where in an image something is: laid over the thumbnail that is pointed at, touched, or reached with the arrow keys.
{
  const told = document.getElementById("sight");
  const seen = document.getElementById("seen");
  const known = new Map(); // what the server has answered, by address
  const KEPT = 300;
  const DWELL = 90; // milliseconds that a pointer rests before anything is asked for
  let shown = null; // the tile that shows a map, or waits for one
  let timer = null;
  let turn = 0; // of those that were asked for; an answer that a later one has overtaken is dropped

  const addressOf = (tile) => {
    const list = tile.closest("[data-heat]");
    const pattern = seen.value === "direction" ? seen.dataset.direction : list.dataset.heat;
    return seen.value && pattern.replace("{image}", tile.querySelector("img").dataset.image);
  };
  const ask = (address) => {
    if (!known.has(address)) {
      const answer = fetched(address).then((each) => each.json());
      known.set(address, answer);
      answer.catch(() => known.delete(address));
      if (known.size > KEPT) known.delete(known.keys().next().value);
    }
    return known.get(address);
  };
  const hide = () => {
    clearTimeout(timer);
    turn += 1;
    if (!shown) return;
    shown.querySelector(".heat")?.remove();
    shown.classList.remove("looking");
    shown = null;
  };
  const tell = (text, kind = "") => {
    told.textContent = text;
    told.className = `faint small ${kind}`;
  };
  const centre = (map, tile) => { // over its tile, but within the window
    const box = tile.getBoundingClientRect();
    const left = box.left + (box.width - map.naturalWidth) / 2;
    const most = document.documentElement.clientWidth - map.naturalWidth - 4;
    map.style.left = `${Math.max(4, Math.min(most, left)) - box.left}px`;
    map.style.top = `${(box.height - map.naturalHeight) / 2}px`;
  };
  const show = async (tile, aloud = false) => {
    const address = addressOf(tile);
    if (shown === tile && tile.querySelector(".heat")) return;
    hide();
    if (!address) return;
    const mine = turn;
    shown = tile;
    tile.classList.add("looking");
    if (told.dataset.model !== "ready") tell("The model is being loaded, which it is once ...");
    try {
      const found = await ask(address);
      told.dataset.model = "ready";
      if (mine !== turn) return;
      const from = found.source === "original" ? "" : "; seen in the thumbnail, for the original is not at hand";
      const words = `Where ${found.of} is in image ${found.image_id}: ${found.where}${from}.`;
      const map = document.createElement("img");
      map.className = "heat";
      map.src = found.picture;
      map.alt = words;
      await map.decode();
      if (mine !== turn) return;
      tile.append(map);
      centre(map, tile);
      tell(words);
      if (aloud) say(words);
    } catch (error) {
      if (mine === turn) tell(error.message, "error");
      if (aloud) say(error.message);
    } finally {
      if (mine === turn) tile.classList.remove("looking");
    }
  };

  // --- one picture of each list can be tabbed to; the arrow keys go on from there
  const pictures = (list) => [...list.querySelectorAll(":scope > li > img:first-child")];
  const rove = () => {
    for (const list of document.querySelectorAll("[data-heat]")) {
      const all = pictures(list);
      const at = all.find((each) => each.tabIndex === 0 && each === document.activeElement) ?? all[0];
      for (const each of all) each.tabIndex = each === at ? 0 : -1;
    }
  };
  const step = (picture, key) => {
    const all = pictures(picture.closest("[data-heat]"));
    const at = all.indexOf(picture);
    const across = all.filter((each) => each.getBoundingClientRect().top === all[0].getBoundingClientRect().top).length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: all.length - 1 }[key];
    const next = all[to];
    if (!next) return;
    picture.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };

  if (seen) {
    const tileOf = (event) => event.target.closest?.("[data-heat] > li");
    document.addEventListener("pointerover", (event) => {
      const tile = tileOf(event);
      if (event.pointerType === "touch" || tile === shown) return;
      if (tile?.querySelector("img")) {
        clearTimeout(timer);
        timer = setTimeout(() => show(tile), DWELL);
      } else if (!shown?.contains(document.activeElement)) hide();
    });
    document.addEventListener("pointerdown", (event) => {
      const tile = tileOf(event);
      if (event.pointerType !== "touch" || !tile?.querySelector("img")) return;
      if (shown === tile) hide();
      else show(tile, true);
    });
    document.addEventListener("focusin", (event) => {
      const tile = tileOf(event);
      if (tile && event.target.matches(":focus-visible")) show(tile, true);
    });
    document.addEventListener("focusout", (event) => { if (tileOf(event)) hide(); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      if (!event.target.matches("[data-heat] > li > img") || !/^Arrow|^Home$|^End$/.test(event.key)) return;
      event.preventDefault();
      step(event.target, event.key);
    });
    seen.addEventListener("change", hide);
    told.dataset.ready = "yes";
    rove();
    const groups = document.getElementById("groups"); // drawn anew while the line moves
    if (groups) new MutationObserver(() => { hide(); rove(); }).observe(groups, { childList: true });
  }
}
