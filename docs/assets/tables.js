// A table that is wider than the page scrolls; with the keyboard as well, once it can have the focus.
document.addEventListener("DOMContentLoaded", () => {
  setTimeout(() => { // Material wraps the tables first
    for (const frame of document.querySelectorAll(".md-typeset__scrollwrap")) {
      if (frame.scrollWidth <= frame.clientWidth) continue;
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", "Table");
    }
  });
});
