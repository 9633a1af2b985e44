"use strict";
// Images that drive something: made by the server when a button is pressed, with their progress, and shown when done.
for (const figure of document.querySelectorAll("[data-feature]")) {
  const [make, stop] = figure.querySelectorAll("button");
  const bar = figure.querySelector("progress");
  const state = figure.querySelector(".state");
  const box = figure.querySelector(".drive");
  let number = null;

  const follow = async (begun) => {
    const others = document.querySelectorAll("[data-feature] button:not(.stop)"); // one at a time
    for (const each of others) each.disabled = true;
    stop.hidden = false;
    try {
      const done = await followed(begun, bar, state, (job) => { number = job; });
      state.textContent = done.state === "stopped" ? "stopped" : "";
      if (done.state === "done") {
        const picture = document.createElement("img");
        picture.src = done.address;
        picture.alt = box.dataset.alt;
        await picture.decode();
        box.replaceChildren(picture);
        make.textContent = "make another";
        say(`${box.dataset.alt} is made`);
      }
    } catch (error) {
      state.textContent = error.message;
    }
    stop.hidden = true;
    for (const each of others) each.disabled = false;
  };
  make.addEventListener("click", () => follow(posted(figure.dataset.address, JSON.parse(figure.dataset.feature))));
  stop.addEventListener("click", () => {
    state.textContent = "stopping ...";
    posted(`/api/jobs/${number}/stop`, {}).catch((error) => { state.textContent = error.message; });
  });
  if (figure.dataset.job) follow(fetched(`/api/jobs/${figure.dataset.job}`));
}
