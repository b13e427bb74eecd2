// Not a module: it runs before the first paint, so that a chosen theme does not flash in after the system's.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("seqcast-theme");
    } catch {
      return null; // storage is switched off: the system's theme it is
    }
  };
  const apply = () => {
    root.dataset.theme = chosen() ?? (system.matches ? "dark" : "light");
    document.querySelector("#theme")?.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
    root.dispatchEvent(new Event("themechange"));
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.querySelector("#theme").addEventListener("click", () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      try {
        // the system's own theme is followed again, not pinned
        if (next === (system.matches ? "dark" : "light")) localStorage.removeItem("seqcast-theme");
        else localStorage.setItem("seqcast-theme", next);
        apply();
      } catch {
        root.dataset.theme = next;
        root.dispatchEvent(new Event("themechange"));
      }
    });
  });
})();
