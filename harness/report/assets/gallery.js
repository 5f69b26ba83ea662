// The gallery of predictions: order, choice, and an enlarged view. Without it all samples stand in their first order.
"use strict";

{
  const list = document.getElementById("gallery-samples");
  const part = (name) => document.getElementById(`gallery-${name}`);

  const start = () => {
    const controls = part("controls");
    const dialog = part("dialog");
    const cards = [...list.children].map((card, first) => ({
      card,
      first,
      open: opener(card),
      sentence: card.querySelector("h3").textContent.toLowerCase(),
      ious: card.dataset.ious.split(" ").map(Number), // NaN where the model has no prediction
    }));
    let shown = cards; // in the present order
    let current = null; // in the enlarged view

    // The sentence becomes a button: one stop of Tab a sample, and its name says which.
    function opener(card) {
      const heading = card.querySelector("h3");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sample-open";
      button.setAttribute("aria-haspopup", "dialog");
      button.append(...heading.childNodes);
      heading.append(button);
      return button;
    }

    const value = (name) => (part(name) ? part(name).value : "");
    const bound = (name, otherwise) => (Number.isFinite(parseFloat(value(name))) ? parseFloat(value(name)) : otherwise);

    function update() {
      const words = value("text").toLowerCase().split(/\s+/).filter(Boolean);
      const [from, to] = [bound("iou-from", -Infinity), bound("iou-to", Infinity)];
      const ranged = from > -Infinity || to < Infinity;
      const iou = ({ card, ious }) => (value("iou-of") === "mean" ? Number(card.dataset.mean) : ious[Number(value("iou-of"))]);
      const fits = (one) =>
        ["category", "size", "winner", "half"].every((name) => !value(name) || one.card.dataset[name] === value(name)) &&
        words.every((word) => one.sentence.includes(word)) &&
        (!ranged || (iou(one) >= from && iou(one) <= to));
      const [key, direction] = value("order").split("-");
      const sign = direction === "down" ? -1 : 1;
      const sorted = [...cards].sort((a, b) => sign * (a.card.dataset[key] - b.card.dataset[key]) || a.first - b.first);
      list.append(...sorted.map((one) => one.card));
      shown = sorted.filter((one) => {
        one.card.hidden = !fits(one);
        return !one.card.hidden;
      });
      const order = part("order").selectedOptions[0].textContent;
      part("count").textContent =
        `${shown.length} of ${cards.length} samples shown${shown.length ? `, ${order}` : "; none is as asked for"}.`;
    }

    function show(one) {
      current = one;
      const place = shown.indexOf(one);
      part("place").textContent = `Sample ${place + 1} of ${shown.length} shown`;
      part("dialog-title").textContent = one.open.textContent;
      part("dialog-notes").replaceChildren(...[...one.card.querySelectorAll(".sample-text p")].map((note) => note.cloneNode(true)));
      part("dialog-tiles").replaceChildren(...[...one.card.querySelector(".tiles").children].map((tile) => tile.cloneNode(true)));
      dialog.style.setProperty("--photograph", one.card.style.getPropertyValue("--photograph") || "none");
      // Not `disabled`: that would take the focus away from the button just pressed.
      part("previous").setAttribute("aria-disabled", String(place === 0));
      part("next").setAttribute("aria-disabled", String(place === shown.length - 1));
      if (!dialog.open) {
        dialog.showModal();
        part("next").focus();
      }
      dialog.scrollTop = 0;
    }

    function step(by) {
      const next = shown[shown.indexOf(current) + by];
      if (next) show(next);
    }

    function focus(one) {
      one.open.focus({ preventScroll: true });
      one.card.scrollIntoView({ block: "nearest" }); // at once: no motion to reduce
    }

    const ahead = { j: 1, ArrowDown: 1, ArrowRight: 1, k: -1, ArrowUp: -1, ArrowLeft: -1 };
    const direction = (event) => (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey ? 0 : ahead[event.key] || 0);

    list.addEventListener("keydown", (event) => {
      const by = direction(event);
      const place = shown.findIndex(({ card }) => card.contains(event.target));
      if (!by || place < 0) return;
      event.preventDefault();
      const next = shown[place + by];
      if (next) focus(next);
    });
    list.addEventListener("click", (event) => {
      if (!event.target.closest(".sample-open, .picture")) return;
      show(cards.find(({ card }) => card.contains(event.target)));
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") return; // these scroll
      const by = direction(event);
      if (!by) return;
      event.preventDefault();
      step(by);
    });
    dialog.addEventListener("close", () => focus(current));
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it
    part("previous").addEventListener("click", () => step(-1));
    part("next").addEventListener("click", () => step(1));
    part("close").addEventListener("click", () => dialog.close());

    controls.addEventListener("input", update);
    part("reset").addEventListener("click", () => {
      controls.querySelectorAll("select").forEach((select) => { select.selectedIndex = 0; });
      controls.querySelectorAll("input").forEach((input) => { input.value = ""; });
      update();
    });
    controls.hidden = false;
    part("hint").hidden = false;
    list.classList.add("live");
    update();
  };

  if (list) start();
}
