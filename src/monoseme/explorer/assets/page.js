"use strict";
// What every page has: copy buttons, keys that follow links, a line that screen readers speak.
const say = (text) => { document.getElementById("said").textContent = text; };

const typing = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");

// Where an address of the explorer is. In a copy without a server each page is a file, and `root` is the way to its top folder.
const root = document.documentElement.dataset.root;
const to = (address) => {
  if (root === undefined) return address;
  const [path, hash] = address.split("#");
  const file = path.replace(/\?.*/, "").slice(1);
  return `${root}${file}${file.startsWith("image/") ? "" : ".html"}${hash === undefined ? "" : `#${hash}`}`;
};

const fetched = async (address, options) => {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const text = await answer.text();
  let sentence = `the explorer answered ${answer.status}`;
  try {
    sentence = JSON.parse(text).error ?? sentence;
  } catch {
    sentence = new DOMParser().parseFromString(text, "text/html").querySelector("main p")?.textContent ?? sentence;
  }
  throw new Error(sentence);
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
