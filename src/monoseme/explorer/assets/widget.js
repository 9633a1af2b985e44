// The neuron page in a frame of its own; what its scripts ask of a server goes to the kernel.
function render({ model, el }) {
  const own = Math.random().toString(36).slice(2); // views of one widget hear each other's answers
  const waiting = new Map();
  let number = 0;
  const frame = document.createElement("iframe");
  frame.title = model.get("title");
  frame.height = model.get("height");
  frame.style.cssText = "width: 100%; border: 1px solid rgba(128, 128, 128, .35); border-radius: 6px";
  frame.reach = (address) => new Promise((done) => {
    const ask = `${own}-${++number}`;
    waiting.set(ask, done);
    model.send({ ask, address });
  });
  const taken = ({ ask, status, text }) => {
    waiting.get(ask)?.(new Response(text, { status }));
    waiting.delete(ask);
  };
  const drawn = () => { frame.srcdoc = model.get("page"); };
  model.on("msg:custom", taken);
  model.on("change:page", drawn);
  drawn();
  el.append(frame);
  return () => { model.off("msg:custom", taken); model.off("change:page", drawn); };
}
export default { render };
