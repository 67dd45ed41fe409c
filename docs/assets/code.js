// A short name or flag in a text is not broken at its hyphens.
document.addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(".md-typeset :not(pre) > code")) {
    if (code.textContent.length <= 24) code.classList.add("sngan-whole");
  }
});
