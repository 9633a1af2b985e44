"use strict";
// What every page has: copy buttons, keys that follow links, a line that screen readers speak.
const say = (text) => { document.getElementById("said").textContent = text; };

const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");

// A copy without a server: each page is a file, `root` is the way to their top folder, and `here` the page's own address.
const { root, here = location.pathname } = document.documentElement.dataset;
const to = (address) => {
  if (root === undefined) return address;
  const [path, hash] = address.split("#");
  const file = path.replace(/\?.*/, "").slice(1);
  return `${root}${file}${file.startsWith("image/") ? "" : ".html"}${hash === undefined ? "" : `#${hash}`}`;
};

// What a copy keeps of the server's answers: for each address a script that hands over all of them by their query, packed.
const takers = new Map();
const answers = new Map();
const held = (address, packed) => takers.get(address)(packed);
const kept = (address) => {
  if (!answers.has(address)) {
    answers.set(address, new Promise((done, fail) => {
      takers.set(address, done);
      const script = document.createElement("script");
      script.src = `${root}${address.slice(1)}.js`;
      script.addEventListener("error", () => fail(new Error("a file of this copy is missing; export it again")));
      document.head.append(script);
    }));
  }
  return answers.get(address);
};
const unpacked = async (address) => {
  const [path, query = ""] = address.split("?");
  const packed = (await kept(path))[query];
  if (packed === undefined) throw new Error("This copy does not hold that; the live explorer computes it.");
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
};

// A change of the address; pages from the disk may not change theirs.
const addressed = (address, push = false) => {
  try {
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
  }
};

const reach = window.frameElement?.reach ?? fetch.bind(window); // in a notebook the kernel answers
const fetched = async (address, options) => {
  if (root !== undefined) return unpacked(address);
  const answer = await reach(address, options);
  if (answer.ok) return answer;
  const text = await answer.text();
  let sentence = `the explorer answered ${answer.status}`;
  try {
    sentence = JSON.parse(text).error ?? sentence;
  } catch {
    sentence = new DOMParser().parseFromString(text, "text/html").querySelector("main p")?.textContent ?? sentence;
  }
  throw Object.assign(new Error(sentence), { status: answer.status });
};

const posted = (address, body) =>
  fetched(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

// A job that has been begun, followed to its end: progress in a bar and in words. Gives the job as it ended.
const followed = async (begun, bar, state, onNumber = () => {}) => {
  bar.hidden = false;
  bar.removeAttribute("value");
  state.textContent = "";
  try {
    let job = await (await begun).json();
    onNumber(job.job);
    while (job.state === "running") {
      state.textContent = job.total ? `${job.stage}: ${job.done.toLocaleString("en")} of ${job.total.toLocaleString("en")}` : job.stage;
      if (job.total) { bar.max = job.total; bar.value = job.done; }
      await new Promise((next) => setTimeout(next, 300));
      job = await (await fetched(`/api/jobs/${job.job}`)).json();
    }
    if (job.error) throw new Error(job.error);
    return job;
  } finally {
    bar.hidden = true;
  }
};

const copy = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // where there is no clipboard: a page that is not from this machine
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not let pages copy; mark the text instead");
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const name = button.textContent;
  try {
    const from = button.dataset.copyFrom;
    const text = from ? JSON.stringify((await (await fetched(from)).json()).vector) : button.dataset.copy;
    await copy(text);
    button.textContent = "copied";
    say("copied");
  } catch (error) {
    button.textContent = "not copied";
    say(error.message);
  }
  setTimeout(() => { button.textContent = name; }, 1500);
});

document.addEventListener("keydown", (event) => {
  if (typing(event) || event.shiftKey) return;
  const link = /^[a-z]$/.test(event.key) && document.querySelector(`a[data-key=${event.key}]`);
  if (link) link.click();
});
