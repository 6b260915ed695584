const buttons = [...document.querySelectorAll("[data-filter]")];
const cards = [...document.querySelectorAll("[data-group]")];

function show(filter) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
  for (const card of cards) {
    const isRejected = card.dataset.group !== "kept";
    card.hidden = !(filter === "all" || filter === card.dataset.group || (filter === "rejected" && isRejected));
  }
}

for (const button of buttons) button.addEventListener("click", () => show(button.dataset.filter));
