// What the page does beside being read: the filter, copying examples, and
// keeping the contents closed on small screens.
const contents = document.getElementById("contents");
const filter = document.getElementById("filter");
const matches = document.getElementById("matches");
const items = [...document.querySelectorAll("nav li[data-text]")];
const small = matchMedia("(max-width: 60rem)");

filter.parentElement.hidden = false;
const fold = () => { contents.open = !small.matches; };
fold();
small.addEventListener("change", fold);

function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of items) {
    const text = item.dataset.text.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
    shown += item.hidden ? 0 : 1;
  }
  for (const section of document.querySelectorAll("nav section")) {
    section.hidden = !section.querySelector("li:not([hidden])");
  }
  matches.textContent = words.length ? `${shown} found` : "";
}

filter.addEventListener("input", narrow);
filter.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    filter.value = "";
    narrow();
  } else if (event.key === "Enter") {
    items.find((item) => !item.hidden)?.querySelector("a").click();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== filter && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    contents.open = true;
    filter.focus();
  }
});
document.querySelector("nav").addEventListener("click", (event) => {
  if (event.target.closest("a") && small.matches) contents.open = false;
});

// The examples are for the server that shows them, which a reverse proxy may have
// below a path.
for (const example of document.querySelectorAll("pre code")) {
  example.textContent = example.textContent.replace("http://127.0.0.1:50051", new URL("..", location.href).href.replace(/\/$/, ""));
}

// The clipboard is for secure pages only, which those of a loopback address are.
if (navigator.clipboard) {
  for (const example of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(example.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    const box = document.createElement("div");
    box.className = "example";
    example.replaceWith(box);
    box.append(example, button);
  }
}

// The contents show which part is being read.
const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
const watch = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    document.querySelector("nav [aria-current]")?.removeAttribute("aria-current");
    const link = links.get(target.id);
    link?.setAttribute("aria-current", "location");
    if (!small.matches && document.activeElement !== filter) link?.scrollIntoView({ block: "nearest" });
  }
}, { rootMargin: "0px 0px -80% 0px" });
for (const id of links.keys()) {
  const part = document.getElementById(id);
  if (part) watch.observe(part);
}
