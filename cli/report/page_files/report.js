// Filters and sorts the table of images. Without it, all of them are there, the worst first.
(() => {
  const table = document.querySelector("#images table");
  if (!table) return;
  const images = [...table.tBodies];
  const form = document.querySelector("#filter");
  const shown = document.querySelector("#shown");
  const texts = new Map(); // read once, when it is first searched
  const textOf = (image) => {
    if (!texts.has(image)) texts.set(image, image.textContent.toLowerCase());
    return texts.get(image);
  };
  const format = new Intl.NumberFormat("en");

  const filter = () => {
    const words = form.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = form.kind.value;
    let count = 0;
    for (const image of images) {
      const fits = !kind || image.classList.contains(kind);
      image.hidden = !(fits && words.every((word) => textOf(image).includes(word)));
      count += !image.hidden;
    }
    const all = format.format(images.length);
    shown.textContent = count === images.length ? `${all} shown` : `${format.format(count)} of ${all} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // A link with a name shows the images that have it.
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", () => {
      form.search.value = link.dataset.find;
      form.kind.value = link.dataset.kind ?? "";
      filter();
    });
  }

  const valueOf = (image, column) => image.rows[0].cells[column].dataset.value;
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const isText = cell.dataset.sort === "text";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = cell.getAttribute("aria-sort");
      const isUp = before ? before === "descending" : isText;
      for (const other of cell.parentNode.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", isUp ? "ascending" : "descending");
      const compare = isText
        ? (one, other) => valueOf(one, column).localeCompare(valueOf(other, column))
        : (one, other) => valueOf(one, column) - valueOf(other, column);
      images.sort((one, other) => (isUp ? 1 : -1) * compare(one, other));
      table.append(...images);
    });
  });
})();
