// Light, dark, or as the device is set. Kept under the name that Django's administration reads.

const THEMES = ["auto", "light", "dark"];
let theme = "auto";
try {
  theme = localStorage.getItem("theme") ?? "auto";
} catch {
  // A browser may forbid it: then each page is as the device is.
}
if (!THEMES.includes(theme)) theme = "auto";
document.documentElement.dataset.theme = theme;

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  if (button === null) return;
  const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
  const tell = () => {
    button.textContent = SIGNS[theme];
    button.title = button.dataset[theme];
    button.setAttribute("aria-label", button.dataset[theme]);
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It holds for this page only.
    }
    tell();
  });
  tell();
  button.hidden = false;
});
