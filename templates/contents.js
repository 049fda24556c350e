// The side list and the sections that fold. Without this script all are open, and the list leads to them all the same.
"use strict";
(() => {
  const nav = document.querySelector("nav.contents");
  if (!nav) return;
  const list = nav.querySelector("details");
  const here = nav.querySelector(".here");
  const links = [...nav.querySelectorAll("ol a")];
  const places = links.map((link) => document.getElementById(link.hash.slice(1)));
  const folds = [...document.querySelectorAll("main details")];
  const beside = matchMedia("(min-width: 1020px)");
  nav.classList.add("live");

  const unfold = (place) => {
    const own = place?.querySelector(":scope > details");
    for (let fold = own ?? place?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  };

  const arrive = () => {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    unfold(place);
    place.scrollIntoView();
  };

  const mark = () => {
    const limit = list.offsetHeight + 40 < innerHeight / 2 ? innerHeight / 4 : 120;
    let [now, highest] = [links[0], -Infinity];
    places.forEach((place, index) => {
      const { top, height } = place.getBoundingClientRect();
      if (height && top <= limit && top > highest) [now, highest] = [links[index], top];
    });
    if (!now || now.getAttribute("aria-current")) return;
    for (const link of links) link.removeAttribute("aria-current");
    now.setAttribute("aria-current", "location");
    const within = now.closest("nav > details > ol > li");
    for (const item of nav.querySelectorAll("nav > details > ol > li")) item.classList.toggle("within", item === within);
    here.textContent = now.textContent.trim();
    const [box, line] = [nav.getBoundingClientRect(), now.getBoundingClientRect()];
    if (line.top < box.top || line.bottom > box.bottom) nav.scrollTop += line.top - box.top - box.height / 3;
  };

  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; mark(); });
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    unfold(document.getElementById(decodeURIComponent(link.hash.slice(1))));
    if (!beside.matches && nav.contains(link)) list.open = false;
  });
  nav.querySelector(".folds").hidden = false;
  for (const button of nav.querySelectorAll("button")) {
    button.addEventListener("click", () => { for (const fold of folds) fold.open = Boolean(button.dataset.open); });
  }
  addEventListener("hashchange", arrive);
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  for (const fold of folds) fold.addEventListener("toggle", soon);

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = folds.filter((fold) => !fold.open);
    for (const fold of folded) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of folded) fold.open = false; });

  const settle = () => { list.open = beside.matches; };
  beside.addEventListener("change", settle);
  settle();

  const boxes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of document.querySelectorAll(".scroll")) boxes.observe(box);
  if (location.hash) arrive();
  mark();
})();
